//! Where operations are tested.

use std::sync::LazyLock;

use candle_core::Device;

/// The device that the environment variable `C2F_TEST_DEVICE` names: `cpu`, as if it were unset, or `cuda`, the first card.
pub fn device() -> Device {
    static DEVICE: LazyLock<Device> = LazyLock::new(|| match std::env::var("C2F_TEST_DEVICE").as_deref() {
        Err(_) | Ok("cpu") => Device::Cpu,
        // One stream for all threads of the tests, which share tensors.
        Ok("cuda") => Device::new_cuda_with_stream(0).unwrap(),
        Ok(other) => panic!("C2F_TEST_DEVICE={other}: cpu and cuda are known"),
    });
    DEVICE.clone()
}
