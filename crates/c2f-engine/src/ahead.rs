//! Work on one batch while the next is made.

use std::sync::mpsc::sync_channel;

use rayon::prelude::*;

use crate::Error;

/// Makes something of each item on all cores, batch by batch, and gives each batch, in order, to `take`, which says whether to
/// go on. However many items there are, no more than three batches of what is made of them exist: the one that is being made, one that
/// waits, and the one that was taken.
///
/// # Errors
/// What `take` fails with, or no thread can be had.
pub fn ahead<T: Sync, M: Send, E: From<Error>>(
    items: &[T],
    batch: usize,
    make: impl Fn(&T) -> M + Send + Sync,
    mut take: impl FnMut(&[T], Vec<M>) -> Result<bool, E>,
) -> Result<(), E> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        let work = move || {
            for items in items.chunks(batch) {
                // Whoever took them has stopped.
                if sender.send(items.par_iter().map(&make).collect()).is_err() {
                    return;
                }
            }
        };
        let started = std::thread::Builder::new().spawn_scoped(scope, work);
        started.map_err(|e| Error::Data(c2f_data::Error::Threads(e)))?;
        for (items, made) in items.chunks(batch).zip(receiver) {
            if !take(items, made)? {
                break;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn batches_come_in_order_and_few_are_made_ahead() {
        let items: Vec<usize> = (0..1000).collect();
        let made = AtomicUsize::new(0);
        let make = |item: &usize| {
            made.fetch_add(1, Ordering::SeqCst);
            item * 2
        };
        let mut all = Vec::new();
        ahead(&items, 16, make, |_, batch| {
            all.extend(batch);
            assert!(made.load(Ordering::SeqCst) <= all.len() + 32, "{} of {}", made.load(Ordering::SeqCst), all.len());
            Ok::<_, Error>(true)
        })
        .unwrap();
        assert_eq!(all, items.iter().map(|item| item * 2).collect::<Vec<_>>());
    }

    #[test]
    fn it_stops_when_told_to_and_after_an_error() {
        let items: Vec<usize> = (0..1000).collect();
        let mut taken = 0;
        let stop = ahead(
            &items,
            10,
            |item| *item,
            |_, batch| {
                taken += batch.len();
                Ok::<_, Error>(taken < 30)
            },
        );
        assert_eq!((stop.is_ok(), taken), (true, 30));
        let failed = ahead(&items, 10, |item| *item, |_, _| Err(Error::Usage("no".to_owned())));
        assert!(failed.unwrap_err().is_usage());
    }
}
