//! Decoders of others, which may panic on damaged input.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many calls of [`guarded`] this thread is in.
    static GUARDED: Cell<usize> = const { Cell::new(0) };
}

/// Runs a decoder; a panic in it is one more way in which its input is damaged.
pub(crate) fn guarded<T>(decode: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    GUARDED.set(GUARDED.get() + 1);
    let outcome = catch_unwind(AssertUnwindSafe(decode));
    GUARDED.set(GUARDED.get() - 1);
    outcome.unwrap_or_else(|_| Err("is damaged: its decoder panics".to_owned()))
}

/// Keeps the panics of decoders, which become errors, from printing as well. For the start of a program: what its panics
/// print is for it to say. All others print as before.
pub fn hide_caught_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let print = take_hook();
        set_hook(Box::new(move |panic| {
            if GUARDED.get() == 0 {
                print(panic);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_and_the_thread_goes_on() {
        let damaged: Result<(), String> = guarded(|| panic!("index out of bounds"));
        assert!(damaged.unwrap_err().contains("damaged"));
        assert_eq!((guarded(|| Ok(1)), GUARDED.get()), (Ok(1), 0));
    }
}
