//! The BatchNorm layer.

use std::fmt::{self, Debug, Formatter};

use candle_core::{DType, ModuleT, Tensor, Var};

use super::running::Running;
use super::{Init, NormMode, Params, Pass, check};
use crate::graph::{Graph, Value};
use crate::maps::Norm;
use crate::{BatchStats, Error, Format, Result, batch_norm_eval, batch_norm_train};

/// Batch normalisation with one or two sets of running statistics (a set of its own for each kind of picture, as in
/// AdvProp, Xie et al. 2020, section 3.2).
#[derive(Clone)]
pub struct BatchNorm2d {
    weight: Var,
    bias: Var,
    running: Vec<Statistics>,
    eps: f64,
    momentum: f64,
}

#[derive(Clone)]
struct Statistics {
    mean: Running,
    var: Running,
}

impl BatchNorm2d {
    /// Makes `weight`, `bias`, `running_mean` and `running_var`, and for a second set of statistics `fine_running_mean`
    /// and `fine_running_var`. `momentum` is the share of the batch in the running statistics (PyTorch's convention).
    ///
    /// # Errors
    /// If there are no channels, `eps` isn't a number from 0 or `momentum` not one in 0..=1, or a parameter of that name exists
    /// with another shape.
    pub fn new(params: &Params, channels: usize, eps: f64, momentum: f64) -> Result<Self> {
        check::positive("BatchNorm2d", &[("channels", channels)])?;
        check::eps("BatchNorm2d", eps)?;
        if !(0.0..=1.0).contains(&momentum) {
            let message = format!("momentum is {momentum}, which isn't in 0..=1");
            return Err(Error::Config { op: "BatchNorm2d", message });
        }
        let running = ["", "fine_"][..params.statistics().clamp(1, 2)].iter().map(|set| {
            Ok(Statistics {
                mean: params.running(&format!("{set}running_mean"), channels, 0.0)?,
                var: params.running(&format!("{set}running_var"), channels, 1.0)?,
            })
        });
        Ok(Self {
            weight: params.parameter("weight", channels, Init::Constant(1.0))?,
            bias: params.parameter("bias", channels, Init::Constant(0.0))?,
            running: running.collect::<Result<_>>()?,
            eps,
            momentum,
        })
    }

    /// Maps (B, C, H, W) to the same. In [`NormMode::Train`] the running statistics of set `pass.statistics` move,
    /// or are to ([`Params::deferred`]).
    ///
    /// # Errors
    /// If the input doesn't have the layer's channels, or one value of each in [`NormMode::Train`], or the layer hasn't that set
    /// of statistics.
    pub fn run(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.run_as(x, Format::ChannelsFirst, pass)
    }

    /// As [`run`](Self::run), from and to maps of `format`.
    ///
    /// # Errors
    /// As there.
    pub fn run_as(&self, x: &Tensor, format: Format, pass: &Pass) -> Result<Tensor> {
        let Norm { gamma, beta, given, eps } = self.norm(pass)?;
        if let Some((mean, var)) = given {
            return batch_norm_eval(x, &gamma, &beta, &mean, &var, eps, format);
        }
        let (y, stats) = batch_norm_train(x, &gamma, &beta, eps, format)?;
        self.update_running_stats(&stats, pass)?;
        Ok(y)
    }

    /// Describes what [`run`](Self::run) computes, by the running statistics of the pass.
    ///
    /// # Errors
    /// If the layer hasn't that set of statistics.
    pub fn describe(&self, graph: &mut Graph, x: Value, pass: &Pass) -> Result<Value> {
        let (factor, summand) = self.as_affine(pass)?;
        let [factor, summand] = [factor, summand].map(|values| graph.tensor(&values.reshape(((), 1, 1))?));
        let (factor, summand) = (factor?, summand?);
        let scaled = graph.op("Mul", &[x, factor]);
        Ok(graph.op("Add", &[scaled, summand]))
    }

    /// What the layer does in a pass.
    pub(super) fn norm(&self, pass: &Pass) -> Result<Norm> {
        let running = self.running(pass)?;
        let (gamma, beta) = match pass.norm {
            NormMode::Frozen => (self.weight.as_detached_tensor(), self.bias.as_detached_tensor()),
            NormMode::Train | NormMode::Eval => (pass.weight(&self.weight), pass.weight(&self.bias)),
        };
        let given = (pass.norm != NormMode::Train)
            .then(|| (running.mean.var.as_detached_tensor(), running.var.var.as_detached_tensor()));
        Ok(Norm { gamma, beta, given, eps: self.eps })
    }

    /// What the layer does by the running statistics of the pass: a factor and a summand for each channel, f64.
    pub(super) fn as_affine(&self, pass: &Pass) -> Result<(Tensor, Tensor)> {
        let running = self.running(pass)?;
        let double = |var: &Var| var.as_detached_tensor().to_dtype(DType::F64);
        let factor = (double(&self.weight)? / (double(&running.var.var)? + self.eps)?.sqrt()?)?;
        let summand = (double(&self.bias)? - (double(&running.mean.var)? * &factor)?)?;
        Ok((factor, summand))
    }

    /// Moves the running statistics of the pass towards those of a batch.
    pub(super) fn update_running_stats(&self, stats: &BatchStats, pass: &Pass) -> Result<()> {
        self.running(pass)?.follow(stats, self.momentum)
    }

    fn running(&self, pass: &Pass) -> Result<&Statistics> {
        self.running.get(pass.statistics).ok_or_else(|| Error::Config {
            op: "batch_norm",
            message: format!("statistics {} of {} were asked for", pass.statistics, self.running.len()),
        })
    }
}

impl Debug for BatchNorm2d {
    /// Channels, eps, momentum, and how many sets of running statistics there are if it isn't one.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "BatchNorm2d({}, eps {:e}, momentum {}", self.weight.elem_count(), self.eps, self.momentum)?;
        match self.running.len() {
            1 => f.write_str(")"),
            sets => write!(f, ", {sets} sets of statistics)"),
        }
    }
}

impl ModuleT for BatchNorm2d {
    /// [`run`](Self::run) with tracked weights, by the batch's statistics in training and by the running ones otherwise.
    fn forward_t(&self, x: &Tensor, train: bool) -> candle_core::Result<Tensor> {
        Ok(self.run(x, &Pass::of(train))?)
    }
}

impl Statistics {
    /// Exponential moving average, of the unbiased variance, as in PyTorch.
    fn follow(&self, batch: &BatchStats, momentum: f64) -> Result<()> {
        let unbias = batch.count as f64 / (batch.count.max(2) - 1) as f64;
        self.mean.follow(&batch.mean, 1.0, momentum)?;
        self.var.follow(&batch.var, unbias, momentum)
    }
}
