//! The settings of a convolution.

/// Zeros around a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Padding {
    /// Rows above.
    pub top: usize,
    /// Rows below.
    pub bottom: usize,
    /// Columns to the left.
    pub left: usize,
    /// Columns to the right.
    pub right: usize,
}

impl Padding {
    /// The same on all four sides.
    pub fn uniform(p: usize) -> Self {
        Self::symmetric(p, p)
    }

    /// `vertical` above and below, `horizontal` left and right.
    pub fn symmetric(vertical: usize, horizontal: usize) -> Self {
        Self { top: vertical, bottom: vertical, left: horizontal, right: horizontal }
    }

    /// TensorFlow's SAME, all arguments being (height, width): the output has ceil(input / stride) rows and columns,
    /// and where the padding is odd, the extra zeros lie below and on the right (timm `layers/padding.py`, `pad_same`).
    pub fn same(
        input: (usize, usize),
        kernel: (usize, usize),
        stride: (usize, usize),
        dilation: (usize, usize),
    ) -> Self {
        let total = |input: usize, kernel: usize, stride: usize, dilation: usize| {
            let steps = input.div_ceil(stride.max(1)).saturating_sub(1);
            (steps * stride + dilation * kernel.saturating_sub(1) + 1).saturating_sub(input)
        };
        let vertical = total(input.0, kernel.0, stride.0, dilation.0);
        let horizontal = total(input.1, kernel.1, stride.1, dilation.1);
        Self {
            top: vertical / 2,
            bottom: vertical - vertical / 2,
            left: horizontal / 2,
            right: horizontal - horizontal / 2,
        }
    }
}

/// Settings of a convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conv2dConfig {
    /// Vertical and horizontal step.
    pub stride: (usize, usize),
    /// Vertical and horizontal distance between the taps of the kernel.
    pub dilation: (usize, usize),
    /// Zeros around the input.
    pub padding: Padding,
    /// Groups of channels that don't see each other.
    pub groups: usize,
}

impl Default for Conv2dConfig {
    fn default() -> Self {
        Self { stride: (1, 1), dilation: (1, 1), padding: Padding::default(), groups: 1 }
    }
}
