//! The kernels, compiled for a card.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::{CudaDevice, Error, Result};

use super::launch::{BLOCK, Element, RUN};

const SOURCE: &str = include_str!("kernels.cu");

/// Element type and the card's compute capability.
type Key = (&'static str, (i32, i32));

/// What was compiled. It stays until the process ends: a few hundred kilobytes for each key.
static COMPILED: Mutex<Option<HashMap<Key, &'static str>>> = Mutex::new(None);

/// The kernels in the form for `T`, as code for that card's driver.
///
/// # Errors
/// If the driver or the compiler (libnvrtc) fails.
pub(super) fn code<T: Element>(device: &CudaDevice) -> Result<&'static str> {
    compiled((T::NAME, device.cuda_stream().context().compute_capability().w()?))
}

fn compiled(key: Key) -> Result<&'static str> {
    // A panic can leave no half-made entry.
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    let compiled = compiled.get_or_insert_default();
    if let Some(code) = compiled.get(&key) {
        return Ok(code);
    }
    let (real, (major, minor)) = key;
    let options = [
        format!("--gpu-architecture=compute_{major}{minor}"),
        "--std=c++17".to_owned(),
        format!("-DReal={real}"),
        format!("-DBLOCK={BLOCK}"),
        format!("-DRUN={RUN}"),
    ];
    let options = CompileOptions { options: options.to_vec(), ..CompileOptions::default() };
    let code = compile_ptx_with_opts(SOURCE, options)
        .map_err(|error| Error::Msg(format!("compiling kernels.cu for compute_{major}{minor}: {error}")).bt())?;
    let code: &'static str = Box::leak(code.to_src().into_boxed_str());
    compiled.insert(key, code);
    Ok(code)
}
