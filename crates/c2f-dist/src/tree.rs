//! The order in which a step's micro-batches are added.

use std::ops::Range;

use crate::{Error, Result};

/// A sum of leaves that come one after the other, as a balanced binary tree says: a node of n leaves is the sum of its first n / 2
/// (rounded up) and of the rest. A leaf that is missing changes nothing. About log2(n) sums are held at a time.
#[derive(Clone, Debug)]
pub struct TreeSum<T> {
    leaves: usize,
    next: usize,
    sums: Vec<Option<T>>,
}

impl<T> TreeSum<T> {
    /// An empty sum of `leaves` leaves.
    pub fn new(leaves: usize) -> Self {
        Self { leaves, next: 0, sums: Vec::new() }
    }

    /// Adds the next leaf, none for one that is missing. `plus` adds two neighbours, the earlier one first.
    ///
    /// # Errors
    /// If the tree has all its leaves, or `plus` fails.
    pub fn add<E: From<Error>>(
        &mut self,
        leaf: Option<T>,
        mut plus: impl FnMut(T, T) -> std::result::Result<T, E>,
    ) -> std::result::Result<(), E> {
        if self.next == self.leaves {
            return Err(Error::TooManyLeaves(self.leaves).into());
        }
        let mut sum = leaf;
        for _ in 0..nodes_that_end(self.leaves, self.next) {
            let earlier = self.sums.pop().flatten();
            sum = match (earlier, sum) {
                (Some(a), Some(b)) => Some(plus(a, b)?),
                (one, other) => one.or(other),
            };
        }
        self.sums.push(sum);
        self.next += 1;
        Ok(())
    }

    /// The sum; leaves that didn't come are missing. None if all are.
    ///
    /// # Errors
    /// If `plus` fails.
    pub fn finish<E: From<Error>>(
        mut self,
        mut plus: impl FnMut(T, T) -> std::result::Result<T, E>,
    ) -> std::result::Result<Option<T>, E> {
        while self.next < self.leaves {
            self.add(None, &mut plus)?;
        }
        Ok(self.sums.pop().flatten())
    }
}

/// How many nodes of a tree of `leaves` leaves are complete with leaf number `leaf`.
fn nodes_that_end(leaves: usize, leaf: usize) -> usize {
    let (mut first, mut count, mut complete) = (0, leaves, 0);
    while count > 1 {
        complete += usize::from(first + count == leaf + 1);
        let half = count.div_ceil(2);
        (first, count) = if leaf < first + half { (first, half) } else { (first + half, count - half) };
    }
    complete
}

/// The leaves of a tree of `leaves` that rank `rank` of `ranks` does: those below one node.
///
/// # Errors
/// If `ranks` isn't a power of two that divides `leaves`.
pub fn branch(leaves: usize, rank: usize, ranks: usize) -> Result<Range<usize>> {
    if !ranks.is_power_of_two() || !leaves.is_multiple_of(ranks) {
        return Err(Error::Ranks { ranks, leaves });
    }
    let each = leaves / ranks;
    Ok(rank * each..(rank + 1) * each)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As text, in which the order can be seen.
    const PLUS: fn(String, String) -> Result<String> = |a, b| Ok(format!("({a}{b})"));

    fn sum(leaves: usize, there: impl IntoIterator<Item = Option<char>>) -> Option<String> {
        let mut tree = TreeSum::new(leaves);
        for leaf in there {
            tree.add(leaf.map(String::from), PLUS).unwrap();
        }
        tree.finish(PLUS).unwrap()
    }

    #[test]
    fn leaves_are_added_in_balance() {
        let of = |letters: &str| sum(letters.len(), letters.chars().map(Some)).unwrap();
        assert_eq!(["a", "ab", "abc", "abcd"].map(of), ["a", "(ab)", "((ab)c)", "((ab)(cd))"]);
        assert_eq!(of("abcdef"), "(((ab)c)((de)f))");
        assert_eq!(of("abcdefgh"), "(((ab)(cd))((ef)(gh)))");
    }

    #[test]
    fn what_is_missing_changes_nothing() {
        assert_eq!(sum(4, [Some('a'), None, None, Some('d')]).unwrap(), "(ad)");
        assert_eq!(sum(4, [Some('a'), Some('b'), Some('c')]).unwrap(), "((ab)c)");
        assert_eq!(sum(4, []), None);
        assert!(matches!(TreeSum::new(0).add(Some("a".to_owned()), PLUS), Err(Error::TooManyLeaves(0))));
    }

    #[test]
    fn ranks_do_whole_branches() {
        let letters = |range: Range<usize>| range.map(|i| char::from(b'a' + i as u8));
        for leaves in [1, 2, 4, 6, 8, 12, 20, 24] {
            let whole = sum(leaves, letters(0..leaves).map(Some));
            for ranks in [1, 2, 4, 8].into_iter().filter(|&ranks| leaves.is_multiple_of(ranks)) {
                let mut sums: Vec<String> = (0..ranks)
                    .map(|rank| {
                        let branch = branch(leaves, rank, ranks).unwrap();
                        sum(branch.len(), letters(branch).map(Some)).unwrap()
                    })
                    .collect();
                // Recursive doubling: each pair of neighbours, then each pair of pairs.
                while sums.len() > 1 {
                    sums = sums.chunks(2).map(|pair| PLUS(pair[0].clone(), pair[1].clone()).unwrap()).collect();
                }
                assert_eq!(sums.pop(), whole, "{leaves} on {ranks}");
            }
        }
        for (leaves, ranks) in [(4, 3), (6, 4), (1, 2), (6, 6)] {
            assert!(matches!(branch(leaves, 0, ranks), Err(Error::Ranks { .. })), "{leaves} on {ranks}");
        }
    }
}
