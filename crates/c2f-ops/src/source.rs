//! What a kernel reads: maps as they are stored, or what is computed from them on the way.

use crate::epilogue::{Epilogue, EpilogueGradient};
use crate::simd::{Float, vectorize};

/// Channels-last maps, one value per pixel and channel.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a, T> {
    /// As stored.
    Plain(&'a [T]),
    /// Stored before normalisation and activation.
    Activated(&'a [T], &'a Epilogue<T>),
    /// The gradient before normalisation and activation, from that after it and from the stored maps.
    Gradient(&'a [T], &'a [T], &'a EpilogueGradient<T>),
}

impl<'a, T: Float> Source<'a, T> {
    /// Number of stored values.
    pub fn len(&self) -> usize {
        match self {
            Self::Plain(x) | Self::Activated(x, _) | Self::Gradient(x, _, _) => x.len(),
        }
    }

    /// Computes the values of the pixels from `first` on, each of `channels` values, until `into` is full.
    #[inline(always)]
    pub fn read(&self, first: usize, channels: usize, into: &mut [T]) {
        let range = first * channels..first * channels + into.len();
        match self {
            Self::Plain(x) => into.copy_from_slice(&x[range]),
            Self::Activated(x, epilogue) => {
                for (into, x) in into.chunks_exact_mut(channels).zip(x[range].chunks_exact(channels)) {
                    epilogue.apply(x, into);
                }
            }
            Self::Gradient(gradient, x, epilogue) => {
                let pixels = gradient[range.clone()].chunks_exact(channels).zip(x[range].chunks_exact(channels));
                for (into, (gradient, x)) in into.chunks_exact_mut(channels).zip(pixels) {
                    epilogue.apply(gradient, x, into);
                }
            }
        }
    }

    /// The values of `count` pixels from `first` on; `scratch` keeps them unless the maps already are that.
    pub fn pixels<'b>(&self, first: usize, count: usize, channels: usize, scratch: &'b mut Vec<T>) -> &'b [T]
    where
        'a: 'b,
    {
        if let Self::Plain(x) = self {
            return &x[first * channels..][..count * channels];
        }
        scratch.resize(scratch.len().max(count * channels), T::zero());
        let pixels = &mut scratch[..count * channels];
        vectorize(
            #[inline(always)]
            || self.read(first, channels, pixels),
        );
        pixels
    }
}
