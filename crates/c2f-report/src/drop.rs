//! What pages share on which pictures are dropped: their style, the list of classes, and how pictures come to them.

/// A page with the shared style in place of `/* DROP STYLE */` and the shared script in that of `/* DROP SCRIPT */`. The page has a label
/// `#drop` with an input of files, and a function `ask` that takes one of them.
pub fn drop_page(page: &str) -> String {
    let style = include_str!("drop.css").trim_end();
    let script = include_str!("drop.js").trim_end();
    page.replacen("/* DROP STYLE */", style, 1).replacen("/* DROP SCRIPT */", script, 1)
}
