//! Data sets as the command line names them: those of the hub become files.

use anyhow::Result;
use c2f_data::Spec;
use c2f_engine::Error;
use c2f_hub::{Hub, Name};

use super::usage;
use crate::bars::FileBars;

/// What the name of something on the Hugging Face hub begins with.
const HUB: &str = "hub:";

/// Whether a text names something on the hub.
pub fn is_of_hub(text: &str) -> bool {
    text.starts_with(HUB)
}

/// The repository that `name` is the name of; `what` is named by `text`.
pub fn hub_name(what: &str, text: &str, name: &str) -> Result<Name> {
    let name = name.strip_prefix(HUB).filter(|name| name.contains('/')).and_then(Name::parse);
    name.ok_or_else(|| usage(format!("{what} `{text}`: expected hub:ORG/NAME, perhaps with @REVISION")))
}

/// The data set that a text names. `hub:ORG/NAME` is fetched, unless it is in the cache, and is then its Parquet files.
pub fn data_spec(text: &str) -> Result<Spec> {
    Ok(on_disk(text)?.parse().map_err(Error::from)?)
}

/// The same as a text: where the data set is once it is on this machine.
pub fn on_disk(text: &str) -> Result<String> {
    if !is_of_hub(text) {
        return Ok(text.to_owned());
    }
    let (name, options) = text.split_once('?').map_or((text, None), |(name, options)| (name, Some(options)));
    let name = hub_name("data set", text, name)?;
    let options = options.map_or(String::new(), |options| format!("?{options}"));
    // What is wrong with them is said before anything is fetched.
    format!("parquet:.{options}").parse::<Spec>().map_err(Error::from)?;
    let mut bars = FileBars::default();
    let folder = Hub::from_env().dataset(&name, &mut |file, done, of| bars.show(file, done, of));
    drop(bars);
    let folder = folder?.into_os_string().into_string();
    let folder = folder.map_err(|folder| usage(format!("{}: the cache's path has to be UTF-8", folder.display())))?;
    Ok(format!("parquet:{folder}{options}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::exit_status;

    #[test]
    fn names_and_options_are_checked_before_the_network() {
        for text in ["hub:", "hub:birds", "hub:a/b/c", "hub:org.x", "hub:a/b@", "hub:a/b?size=x", "hub:a/b?colour=1"] {
            assert_eq!(exit_status(&on_disk(text).unwrap_err()), 2, "{text}");
        }
        assert_eq!(on_disk("folder:/x?size=3").unwrap(), "folder:/x?size=3");
    }
}
