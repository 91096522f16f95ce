//! Where pictures wait for a network: of bounded length, taken in batches.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Many put in, one takes out.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    changed: Condvar,
    capacity: usize,
}

struct State<J> {
    /// With the moment in which each came.
    jobs: VecDeque<(Instant, J)>,
    /// Whether batches wait for more.
    gathers: bool,
    closed: bool,
}

impl<J> Queue<J> {
    pub fn new(capacity: usize) -> Self {
        let state = State { jobs: VecDeque::new(), gathers: true, closed: false };
        Self { state: Mutex::new(state), changed: Condvar::new(), capacity }
    }

    /// The most that ever waits.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Adds all of them, or none: `false` where they have no room, or nobody takes any longer.
    pub fn push(&self, jobs: Vec<J>) -> bool {
        let mut state = self.lock();
        if state.closed || state.jobs.len() + jobs.len() > self.capacity {
            return false;
        }
        let now = Instant::now();
        state.jobs.extend(jobs.into_iter().map(|job| (now, job)));
        self.changed.notify_all();
        true
    }

    /// The oldest, at most `most`, as soon as there are that many or the first has waited for `gather`. None when the queue is closed
    /// and empty.
    pub fn take(&self, most: usize, gather: Duration) -> Option<Vec<J>> {
        let mut state = self.lock();
        loop {
            let Some((first, _)) = state.jobs.front() else {
                if state.closed {
                    return None;
                }
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = if state.gathers { gather.saturating_sub(first.elapsed()) } else { Duration::ZERO };
            if state.jobs.len() >= most || left.is_zero() {
                let count = state.jobs.len().min(most);
                return Some(state.jobs.drain(..count).map(|(_, job)| job).collect());
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// From now on no batch waits for more.
    pub fn hurry(&self) {
        self.lock().gathers = false;
        self.changed.notify_all();
    }

    /// From now on nothing is added. What waits is still taken.
    pub fn close(&self) {
        let mut state = self.lock();
        (state.closed, state.gathers) = (true, false);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        // Nothing in here can be half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn it_never_grows_beyond_its_capacity() {
        let queue = Queue::new(3);
        assert!(queue.push(vec![1, 2]));
        assert!(!queue.push(vec![3, 4]), "all or none");
        assert!(queue.push(vec![3]) && !queue.push(vec![4]));
        assert_eq!((queue.len(), queue.take(2, LONG), queue.take(1, LONG)), (3, Some(vec![1, 2]), Some(vec![3])));
        assert!(queue.push(vec![5, 6, 7]));
    }

    #[test]
    fn a_batch_is_whole_or_has_waited() {
        let queue = Queue::new(8);
        queue.push(vec![1]);
        assert_eq!(queue.take(4, Duration::ZERO), Some(vec![1]));
        queue.push(vec![1]);
        let taken = std::thread::scope(|scope| {
            let taker = scope.spawn(|| queue.take(3, LONG));
            queue.push(vec![2]);
            queue.push(vec![3, 4]);
            taker.join().unwrap()
        });
        assert_eq!((taken, queue.len()), (Some(vec![1, 2, 3]), 1));
    }

    #[test]
    fn what_waits_when_it_closes_is_still_taken() {
        let queue = Queue::new(8);
        queue.push(vec![1]);
        queue.hurry();
        assert_eq!(queue.take(4, LONG), Some(vec![1]));
        assert!(queue.push(vec![2]), "who has begun may go on");
        queue.close();
        assert!(!queue.push(vec![3]));
        assert_eq!((queue.take(4, LONG), queue.take(4, LONG)), (Some(vec![2]), None));
    }
}
