#![doc = include_str!("../README.md")]

mod card;
mod chart;
mod contact;
mod drop;
mod error;
mod heat;
mod histogram;
mod page;
mod panel;
mod png;
mod sheet;
mod tensorboard;
mod text;
mod web;

pub use card::Card;
pub use contact::{ClassSamples, ContactSheet, contact_sheet};
pub use drop::drop_page;
pub use error::{Error, Result};
pub use histogram::Histogram;
pub use page::Report;
pub use panel::{attention_panel, region_panel};
pub use png::{PNG_MARK, encode_png, save_png, write_png};
pub use sheet::sheet;
pub use tensorboard::EventFile;
pub use web::{WEB_INPUTS, write_web_page};
