//! A server in this process, and whoever asks it.

mod answers;
mod limits;
mod protocol;
mod stopping;
mod support;
