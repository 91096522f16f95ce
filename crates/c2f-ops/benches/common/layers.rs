//! Convolutions of ResNet-50 and EfficientNet-Lite0 at 224 pixels.

/// Pictures.
pub const BATCH: usize = 8;

/// A convolution with (kernel - 1) / 2 zeros on each side.
pub struct Layer {
    pub name: &'static str,
    pub inputs: usize,
    pub outputs: usize,
    /// Side of the input.
    pub size: usize,
    pub kernel: usize,
    pub stride: usize,
    pub groups: usize,
}

const fn layer(
    name: &'static str,
    (inputs, outputs): (usize, usize),
    size: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Layer {
    Layer { name, inputs, outputs, size, kernel, stride, groups }
}

/// From the first to the last stages of ResNet-50, then of EfficientNet-Lite0.
pub const LAYERS: [Layer; 15] = [
    layer("stem 7x7/2 3-64 at 224", (3, 64), 224, 7, 2, 1),
    layer("1x1 64-256 at 56", (64, 256), 56, 1, 1, 1),
    layer("1x1 256-64 at 56", (256, 64), 56, 1, 1, 1),
    layer("3x3 64-64 at 56", (64, 64), 56, 3, 1, 1),
    layer("3x3/2 128-128 at 56", (128, 128), 56, 3, 2, 1),
    layer("3x3 128-128 at 28", (128, 128), 28, 3, 1, 1),
    layer("3x3 256-256 at 14", (256, 256), 14, 3, 1, 1),
    layer("1x1 1024-256 at 14", (1024, 256), 14, 1, 1, 1),
    layer("3x3 512-512 at 7", (512, 512), 7, 3, 1, 1),
    layer("1x1 512-2048 at 7", (512, 2048), 7, 1, 1, 1),
    layer("1x1 16-96 at 112", (16, 96), 112, 1, 1, 1),
    layer("depthwise 3x3/2 96 at 112", (96, 96), 112, 3, 2, 96),
    layer("depthwise 3x3 144 at 56", (144, 144), 56, 3, 1, 144),
    layer("depthwise 5x5 240 at 28", (240, 240), 28, 5, 1, 240),
    layer("depthwise 5x5 672 at 14", (672, 672), 14, 5, 1, 672),
];
