//! What is launched for each operation: which kernels of `kernels.cu`, in which shapes, on what. It knows neither candle's storage nor
//! the driver, but a [`Machine`]: a card, or in `tests/kernels_on_host` a program of the host that runs the same kernels.
#![allow(unsafe_code, reason = "a kernel trusts its arguments")]

mod each;
mod norm;
mod pictures;
mod rows;
mod windows;

pub use each::{add_limited, gelu, gelu_gradient, limited, limited_gradient};
pub use norm::{Norm, normalise, normalise_gradient};
pub use pictures::{Sampler, grid_sample, grid_sample_gradients, separable};
pub use rows::{layer_norm, layer_norm_gradients, log_softmax, log_softmax_gradient, softmax, softmax_gradient};
pub use windows::{Axis, Windows, depthwise, depthwise_input, depthwise_weight, max_pool, max_pool_gradient};

use std::marker::PhantomData;

use candle_core::{Result, bail};

/// Threads of a block; rows have fewer where they are short.
pub const BLOCK: usize = 256;

/// Values that a thread handles in the kernels that go value by value: enough loads under way to keep the memory busy.
pub const RUN: usize = 4;

/// What `int` counts to in a kernel, with room for the last step of a loop.
const MOST: usize = i32::MAX as usize - (1 << 20);

/// The element types, each of which has a compiled form of the kernels.
pub trait Element: Plain {
    /// Its name in CUDA's C++.
    const NAME: &'static str;
    /// A number as an argument of a kernel.
    fn real(value: f64) -> Arg;
}

impl Element for f32 {
    const NAME: &'static str = "float";
    fn real(value: f64) -> Arg {
        Arg(u64::from((value as f32).to_bits()))
    }
}

impl Element for f64 {
    const NAME: &'static str = "double";
    fn real(value: f64) -> Arg {
        double(value)
    }
}

/// Values that a machine can hold.
#[cfg(feature = "cuda")]
pub trait Plain: candle_core::cuda_backend::cudarc::driver::DeviceRepr + Copy + 'static {}
/// Values that a machine can hold.
#[cfg(not(feature = "cuda"))]
pub trait Plain: Copy + 'static {}
impl Plain for f32 {}
impl Plain for f64 {}
impl Plain for i32 {}
impl Plain for u16 {}

/// Two gradients, each where it is wanted.
pub type Wanted<M, T> = (Option<<M as Machine>::Buffer<T>>, Option<<M as Machine>::Buffer<T>>);

/// Where kernels run.
pub trait Machine {
    /// Memory of its own.
    type Buffer<T: Plain>;

    /// Memory of `len` values, whatever they are.
    fn alloc<T: Plain>(&self, len: usize) -> Result<Self::Buffer<T>>;
    /// Memory with these values.
    fn upload<T: Plain>(&self, values: &[T]) -> Result<Self::Buffer<T>>;
    /// A buffer to read.
    fn input<'a, T: Plain>(&'a self, buffer: &'a Self::Buffer<T>) -> Values<'a, T>;
    /// A buffer to write.
    fn output<'a, T: Plain>(&'a self, buffer: &'a mut Self::Buffer<T>) -> Values<'a, T>;
    /// Launches the kernel of that name in the form for `T`, after all that was launched before.
    ///
    /// # Safety
    /// `args` must be what the kernel takes, in its order, and what it reads and writes for that shape must be theirs.
    unsafe fn launch<T: Element>(&self, kernel: &'static str, shape: LaunchShape, args: &[Arg]) -> Result<()>;
}

/// A buffer of a machine, or a part of one, for the time of a launch.
pub struct Values<'a, T> {
    held: Held,
    _guard: Box<dyn Guard + 'a>,
    _type: PhantomData<T>,
}

/// What is held while a kernel that uses a buffer is launched.
pub trait Guard {}
impl<G> Guard for G {}

/// Where values are, and how many.
#[derive(Clone, Copy)]
struct Held {
    address: u64,
    len: usize,
}

impl<'a, T> Values<'a, T> {
    /// `len` values from `address` on, which stay where they are as long as the guard lives.
    pub fn new(address: u64, len: usize, guard: impl Guard + 'a) -> Self {
        Self { held: Held { address, len }, _guard: Box::new(guard), _type: PhantomData }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.held.len
    }

    fn held(&self) -> Held {
        self.held
    }

    fn arg(&self) -> Arg {
        Arg(self.held.address)
    }

    fn expect(&self, what: &str, len: usize) -> Result<()> {
        self.held.expect(what, len)
    }
}

impl Held {
    /// Refuses another number of values.
    fn expect(self, what: &str, len: usize) -> Result<()> {
        if self.len != len {
            bail!("{what}: {} values instead of {len}", self.len);
        }
        Ok(())
    }
}

/// An argument of a kernel, in the lowest bytes.
#[derive(Clone, Copy, Debug)]
pub struct Arg(pub u64);

/// No buffer.
const NULL: Arg = Arg(0);

fn int(value: usize) -> Result<Arg> {
    if value > MOST {
        bail!("{value} values are more than a kernel counts to");
    }
    Ok(Arg(value as u64))
}

fn double(value: f64) -> Arg {
    Arg(value.to_bits())
}

/// Blocks, and threads of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LaunchShape {
    pub grid: (u32, u32),
    pub block: u32,
}

impl LaunchShape {
    /// `columns` by `rows` whole blocks.
    fn blocks(columns: usize, rows: usize) -> Result<Self> {
        if columns > MOST || rows > 65_535 {
            bail!("a grid of {columns} x {rows} blocks");
        }
        Ok(Self { grid: (columns as u32, rows as u32), block: BLOCK as u32 })
    }

    /// For kernels that go value by value.
    fn each(values: usize) -> Result<Self> {
        Self::blocks(values.div_ceil(BLOCK * RUN), 1)
    }

    /// A block for each row, of a power of two threads.
    fn rows(rows: usize, width: usize) -> Result<Self> {
        let block = width.next_power_of_two().clamp(32, BLOCK) as u32;
        Ok(Self { block, ..Self::blocks(rows, 1)? })
    }
}
