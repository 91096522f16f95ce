//! A page that runs an exported network in a browser, without a server that knows of it.

use std::path::Path;

use c2f_engine::{GraphInputs, Network};
use c2f_files::{Mark, Output};

use crate::{Result, drop_page};

/// How every page of ours begins.
const MARK: Mark = "<!doctype html>\n<!-- c2f-train export -->\n";

/// Where the page has the network's facts, in JSON.
const FACTS: &str = "\"FACTS\"";

/// The inputs of the file that the page runs. It cuts both looks' pictures out of the file that it is given, as `predict` does.
pub const WEB_INPUTS: GraphInputs = GraphInputs { bytes: false, coarse: true };

/// Writes the page, which runs the file `model.onnx` beside it ([`c2f_engine::export_onnx`] with [`WEB_INPUTS`]) in a browser: a picture that is dropped
/// there is classified, and shown with its attention and its box. It is no server's business, and nothing is sent anywhere. onnxruntime-web is taken
/// from beside the page or, if it isn't there, from jsDelivr.
///
/// # Errors
/// With the rules of [`Output`], or if the file can't be written.
pub fn write_web_page(network: &Network, path: &Path) -> Result<()> {
    let facts = serde_json::json!({
        "classes": network.classes,
        "crop": network.crop(),
        "mean": network.model.backbone().info().mean,
    });
    // Nothing in a class's name ends the script.
    let facts = facts.to_string().replace('<', "\\u003c");
    let output = Output::create(path, MARK)?;
    let page = drop_page(include_str!("web.html")).replacen(FACTS, &facts, 1);
    Ok(output.finish_with(page.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn the_page_has_the_facts_and_no_class_ends_its_script() {
        let recipe = c2f_engine::Recipe::builtin("quickstart").unwrap();
        let classes = vec!["</script><b>tit</b>".to_owned(), "rook".to_owned()];
        let network = Network::new(&recipe, classes, &Device::Cpu).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index.html");
        for _ in 0..2 {
            write_web_page(&network, &path).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap();
        assert!(page.starts_with(MARK) && !page.contains(FACTS));
        assert!(page.contains(r#"["\u003c/script>\u003cb>tit\u003c/b>","rook"]"#), "{page}");
        assert_eq!(page.matches("</script>").count(), 1);
        std::fs::write(&path, "mine").unwrap();
        assert!(write_web_page(&network, &path).is_err());
    }
}
