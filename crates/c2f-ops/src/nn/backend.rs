//! [`Params`] as where candle's layers get their variables from.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::init::NormalOrUniform;
use candle_nn::var_builder::SimpleBackend;

use super::{Init, Kind, Params};

/// The last part of the names of what candle's layers keep and don't train.
const BUFFERS: [&str; 2] = ["running_mean", "running_var"];

impl SimpleBackend for Params {
    fn get(&self, shape: Shape, name: &str, init: candle_nn::Init, dtype: DType, device: &Device) -> Result<Tensor> {
        let last = name.rsplit('.').next().unwrap_or(name);
        let kind = if BUFFERS.contains(&last) { Kind::Buffer } else { Kind::Parameter };
        let init = of_candle(init, &shape);
        let var = self.variable(name, shape, init, kind)?;
        // Without a change these give the variable itself.
        var.as_tensor().to_dtype(dtype)?.to_device(device)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        let path = self.full(name);
        let entry = self.get(&path).ok_or(candle_core::Error::CannotFindTensor { path })?;
        entry.var.as_tensor().to_dtype(dtype)?.to_device(device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.get(&self.full(name)).is_some()
    }
}

/// What candle's initialiser means for a variable of that shape.
fn of_candle(init: candle_nn::Init, shape: &Shape) -> Init {
    use candle_nn::Init as Candle;
    match init {
        Candle::Const(value) => Init::Constant(value),
        Candle::Randn { mean, stdev } => Init::Normal { mean, std: stdev },
        Candle::Uniform { lo, up } => Init::Uniform { low: lo, high: up },
        Candle::Kaiming { dist, fan, non_linearity } => {
            let std = non_linearity.gain() / (fan.for_shape(shape) as f64).sqrt();
            match dist {
                NormalOrUniform::Normal => Init::Normal { mean: 0.0, std },
                // A uniform distribution on (-b, b) has the standard deviation b / sqrt(3).
                NormalOrUniform::Uniform => Init::Uniform { low: -(3_f64.sqrt() * std), high: 3_f64.sqrt() * std },
            }
        }
    }
}
