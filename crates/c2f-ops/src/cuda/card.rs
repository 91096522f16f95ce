//! A card as a machine for kernels, and its results as tensors in candle's graph.
#![allow(unsafe_code, reason = "to launch kernels, and to have memory that they fill")]

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::cuda_backend::cudarc::driver::{
    CudaSlice, CudaStream, DevicePtr, DevicePtrMut, LaunchConfig, PushKernelArg,
};
use candle_core::cuda_backend::{CudaDType, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, CustomOp1, CustomOp2, CustomOp3, Device, Layout, Result, Shape, Storage,
    Tensor, bail,
};

use super::launch::{Arg, Element, LaunchShape, Machine, Plain, Values};
use super::module::code;

/// An element type of tensors and kernels.
pub(crate) trait Real: Element + CudaDType {}
impl Real for f32 {}
impl Real for f64 {}

/// A card, and the stream on which candle computes there.
pub(crate) struct Card {
    device: CudaDevice,
    stream: Arc<CudaStream>,
}

impl Card {
    /// The card that holds `x`.
    pub fn of(x: &Tensor) -> Result<Self> {
        match x.device() {
            Device::Cuda(device) => Ok(Self { device: device.clone(), stream: device.cuda_stream() }),
            _ => bail!("expected a tensor on a card"),
        }
    }

    /// Runs `f` on the values of tensors on the card.
    pub fn read<T: Real, R, const N: usize>(
        &self,
        tensors: [&Tensor; N],
        f: impl FnOnce([&Values<T>; N]) -> Result<R>,
    ) -> Result<R> {
        let tensors: Vec<Tensor> = tensors.iter().map(|tensor| tensor.contiguous()).collect::<Result<_>>()?;
        let held: Vec<_> = tensors.iter().map(Tensor::storage_and_layout).collect();
        let values = held.iter().map(|(storage, layout)| match &**storage {
            Storage::Cuda(storage) => self.view(T::as_cuda_slice(storage)?, layout),
            _ => bail!("expected a tensor on a card"),
        });
        let values: Vec<Values<T>> = values.collect::<Result<_>>()?;
        f(std::array::from_fn(|i| &values[i]))
    }

    fn view<'a, T: Real>(&'a self, slice: &'a CudaSlice<T>, layout: &Layout) -> Result<Values<'a, T>> {
        let Some((start, end)) = layout.contiguous_offsets() else { bail!("expected a contiguous tensor") };
        let (address, guard) = slice.device_ptr(&self.stream);
        Ok(Values::new(address + (start * size_of::<T>()) as u64, end - start, guard))
    }

    /// A tensor outside of the graph.
    pub fn tensor<T: Real>(&self, values: CudaSlice<T>, shape: impl Into<Shape>) -> Tensor {
        let storage = CudaStorage::wrap_cuda_slice(values, self.device.clone());
        Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
    }

    /// A tensor that comes of one to three `inputs`. `backward` gives the gradients of these, from them, the tensor, and its gradient.
    pub fn record<T: Real>(
        &self,
        name: &'static str,
        inputs: &[&Tensor],
        values: CudaSlice<T>,
        shape: impl Into<Shape>,
        backward: impl Fn(&[&Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync + 'static,
    ) -> Result<Tensor> {
        if !inputs.iter().any(|input| input.track_op()) {
            return Ok(self.tensor(values, shape));
        }
        let storage = CudaStorage::wrap_cuda_slice(values, self.device.clone());
        let op = Recorded { name, output: Mutex::new(Some((storage, shape.into()))), backward: Box::new(backward) };
        match inputs {
            [a] => a.apply_op1(op),
            [a, b] => a.apply_op2(b, op),
            [a, b, c] => a.apply_op3(b, c, op),
            _ => bail!("{name}: {} inputs", inputs.len()),
        }
    }
}

impl Machine for Card {
    type Buffer<T: Plain> = CudaSlice<T>;

    fn alloc<T: Plain>(&self, len: usize) -> Result<CudaSlice<T>> {
        // SAFETY: whatever allocates launches a kernel that writes all of it before anything reads it (`launch`).
        unsafe { self.device.alloc(len) }
    }

    fn upload<T: Plain>(&self, values: &[T]) -> Result<CudaSlice<T>> {
        self.device.clone_htod(values)
    }

    fn input<'a, T: Plain>(&'a self, buffer: &'a CudaSlice<T>) -> Values<'a, T> {
        let (address, guard) = buffer.device_ptr(&self.stream);
        Values::new(address, buffer.len(), guard)
    }

    fn output<'a, T: Plain>(&'a self, buffer: &'a mut CudaSlice<T>) -> Values<'a, T> {
        let len = buffer.len();
        let (address, guard) = buffer.device_ptr_mut(&self.stream);
        Values::new(address, len, guard)
    }

    unsafe fn launch<T: Element>(&self, name: &'static str, shape: LaunchShape, args: &[Arg]) -> Result<()> {
        // candle keeps the module by this name, for each device.
        let module = format!("c2f_ops_{}", T::NAME);
        let kernel = self.device.get_or_load_custom_func(name, &module, code::<T>(&self.device)?)?;
        let mut builder = kernel.builder();
        for arg in args {
            builder.arg(&arg.0);
        }
        let (x, y) = shape.grid;
        let config = LaunchConfig { grid_dim: (x, y, 1), block_dim: (shape.block, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the caller answers for the arguments. The driver reads as many bytes of each as the kernel says: the lowest.
        unsafe { builder.launch(config) }.w()?;
        Ok(())
    }
}

type Backward = dyn Fn(&[&Tensor], &Tensor, &Tensor) -> Result<Vec<Option<Tensor>>> + Send + Sync;

/// What was computed already, as an operation of candle.
struct Recorded {
    name: &'static str,
    output: Mutex<Option<(CudaStorage, Shape)>>,
    backward: Box<Backward>,
}

impl Recorded {
    fn take(&self) -> Result<(CudaStorage, Shape)> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner).take();
        output.ok_or_else(|| candle_core::Error::Msg(format!("{}: run forward twice", self.name)).bt())
    }

    fn nowhere_else(&self) -> Result<(CpuStorage, Shape)> {
        bail!("{}: this form of the operation is a card's", self.name)
    }
}

impl CustomOp1 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.nowhere_else()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.take()
    }

    fn bwd(&self, a: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        Ok((self.backward)(&[a], y, gradient)?.pop().flatten())
    }
}

impl CustomOp2 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        self.nowhere_else()
    }

    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        self.take()
    }

    fn bwd(&self, a: &Tensor, b: &Tensor, y: &Tensor, gradient: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradients = (self.backward)(&[a, b], y, gradient)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten()))
    }
}

impl CustomOp3 for Recorded {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.nowhere_else()
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        self.take()
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        c: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let mut gradients = (self.backward)(&[a, b, c], y, gradient)?.into_iter();
        Ok((gradients.next().flatten(), gradients.next().flatten(), gradients.next().flatten()))
    }
}
