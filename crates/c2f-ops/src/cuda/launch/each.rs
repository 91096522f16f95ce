//! Operations that go value by value.

use super::{Arg, Element, Held, LaunchShape, Machine, Values, int};
use candle_core::Result;

/// `min(max(x, low), high)`.
pub fn limited<M: Machine, T: Element>(m: &M, x: &Values<T>, low: f64, high: f64) -> Result<M::Buffer<T>> {
    each(m, "limited", &[x.held()], &[T::real(low), T::real(high)])
}

/// The gradient before [`limited`] or [`add_limited`], from their output and the gradient after them.
pub fn limited_gradient<M: Machine, T: Element>(
    m: &M,
    y: &Values<T>,
    gradient: &Values<T>,
    low: f64,
    high: f64,
) -> Result<M::Buffer<T>> {
    each(m, "limited_gradient", &[y.held(), gradient.held()], &[T::real(low), T::real(high)])
}

/// `min(max(a + b, low), high)`.
pub fn add_limited<M: Machine, T: Element>(
    m: &M,
    a: &Values<T>,
    b: &Values<T>,
    low: f64,
    high: f64,
) -> Result<M::Buffer<T>> {
    each(m, "add_limited", &[a.held(), b.held()], &[T::real(low), T::real(high)])
}

/// The Gaussian error linear unit.
pub fn gelu<M: Machine, T: Element>(m: &M, x: &Values<T>) -> Result<M::Buffer<T>> {
    each(m, "gelu", &[x.held()], &[])
}

/// The gradient before [`gelu`], from its input and the gradient after it.
pub fn gelu_gradient<M: Machine, T: Element>(m: &M, x: &Values<T>, gradient: &Values<T>) -> Result<M::Buffer<T>> {
    each(m, "gelu_gradient", &[x.held(), gradient.held()], &[])
}

/// A kernel of inputs of one size and some numbers, whose output has that size.
fn each<M: Machine, T: Element>(m: &M, kernel: &'static str, inputs: &[Held], numbers: &[Arg]) -> Result<M::Buffer<T>> {
    let len = inputs[0].len;
    let mut y = m.alloc(len)?;
    let mut args = Vec::new();
    for input in inputs {
        input.expect(kernel, len)?;
        args.push(Arg(input.address));
    }
    args.extend_from_slice(numbers);
    let into = m.output(&mut y);
    args.extend([into.arg(), int(len)?]);
    // SAFETY: the inputs and the output have `len` values each; the callers give the numbers that the kernel takes.
    unsafe { m.launch::<T>(kernel, LaunchShape::each(len)?, &args)? };
    drop(into);
    Ok(y)
}
