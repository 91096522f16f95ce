//! The engine from the outside, on pictures that are drawn: recipes, the training of each method, resuming.

mod data;
mod held_out;
mod measures;
mod memory;
mod methods;
mod recipe;
mod resume;
mod support;
mod transfer;
