//! One seeded generator for each purpose: no draw depends on how many others were made before it.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator of one purpose, keyed by the run's seed and two numbers such as the epoch and the sample's id.
pub(crate) fn generator(seed: u64, purpose: [u8; 8], keys: [u64; 2]) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&purpose);
    key[16..24].copy_from_slice(&keys[0].to_le_bytes());
    key[24..].copy_from_slice(&keys[1].to_le_bytes());
    ChaCha8Rng::from_seed(key)
}
