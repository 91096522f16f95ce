//! Layers on maps: the same values and gradients as the operations on tensors that they replace.

mod common;

use c2f_ops::nn::{Conv2dOptions, ConvNormAct, ConvNormActOptions, ConvPadding, Kind, NormMode, Params, Pass, Weights};
use c2f_ops::{
    Activation, Conv2dConfig, Format, Maps, Padding, PoolConfig, batch_norm_eval, batch_norm_train, conv2d, max_pool2d,
};
use candle_core::{DType, Tensor, Var};
use common::{assert_close, bits, check_gradient, device, random, values};

const FIRST: Format = Format::ChannelsFirst;
const EPS: f64 = 1e-3;

/// Kernel, stride, groups, input channels, output channels.
type Shape = (usize, usize, usize, usize, usize);

/// Among them 1x1 with and without a stride, depthwise with tails of registers, grouped, and a 3-channel stem.
const SHAPES: [Shape; 10] = [
    (1, 1, 1, 20, 37),
    (1, 2, 1, 6, 9),
    (3, 1, 1, 5, 7),
    (3, 2, 1, 4, 18),
    (3, 1, 19, 19, 19),
    (3, 2, 16, 16, 16),
    (5, 1, 3, 3, 3),
    (5, 2, 33, 33, 33),
    (3, 2, 2, 4, 6),
    (7, 2, 1, 3, 8),
];

struct Case {
    layer: ConvNormAct,
    params: Params,
    shape: Shape,
    activation: Activation,
}

impl Case {
    fn new(shape: Shape, activation: Activation, dtype: DType) -> Self {
        let (kernel, stride, groups, inputs, outputs) = shape;
        let params = Params::new(&device(), dtype, 3);
        let padding = ConvPadding::Explicit(Padding::uniform(kernel / 2));
        let conv = Conv2dOptions { stride, groups, padding, ..Conv2dOptions::default() };
        let options = ConvNormActOptions { names: ("conv", "bn"), conv, eps: EPS, momentum: 0.1, activation };
        let layer = ConvNormAct::new(&params, inputs, outputs, (kernel, kernel), options).unwrap();
        // Scales of both signs, so that the order of the values isn't the normalised order.
        for (i, entry) in params.entries().iter().enumerate() {
            if entry.var.dims().len() == 1 {
                let random = random(entry.var.shape(), 90 + i as u64).to_dtype(dtype).unwrap();
                let value = if entry.name.ends_with("_var") { random.abs().unwrap() } else { random };
                entry.var.set(&value).unwrap();
            }
        }
        Self { layer, params, shape, activation }
    }

    fn var(&self, name: &str) -> Tensor {
        self.params.get(name).unwrap().var.as_tensor().clone()
    }

    /// The same by operations on tensors.
    fn separately(&self, x: &Tensor, pass: &Pass) -> Tensor {
        let (kernel, stride, groups, _, _) = self.shape;
        let padding = Padding::uniform(kernel / 2);
        let config = Conv2dConfig { stride: (stride, stride), groups, padding, ..Conv2dConfig::default() };
        let y = conv2d(x, &self.var("conv.weight"), None, &config, FIRST).unwrap();
        let (gamma, beta) = (self.var("bn.weight"), self.var("bn.bias"));
        let y = match pass.norm {
            NormMode::Train => batch_norm_train(&y, &gamma, &beta, EPS, FIRST).unwrap().0,
            NormMode::Eval | NormMode::Frozen => {
                let (mean, var) = (self.var("bn.running_mean").detach(), self.var("bn.running_var").detach());
                batch_norm_eval(&y, &gamma, &beta, &mean, &var, EPS, FIRST).unwrap()
            }
        };
        self.activation.of(&y).unwrap()
    }

    fn run(&self, x: &Tensor, pass: &Pass) -> Tensor {
        self.layer.run(&Maps::new(x, FIRST).unwrap(), pass).unwrap().to_tensor(FIRST).unwrap()
    }
}

fn projected(y: &Tensor) -> Tensor {
    (y * random(y.shape(), 7).to_dtype(y.dtype()).unwrap()).unwrap().sum_all().unwrap()
}

#[test]
fn a_bias_before_batch_norm_moves_its_mean() {
    let params = Params::new(&device(), DType::F64, 3);
    let conv = Conv2dOptions { bias: true, ..Conv2dOptions::default() };
    let options =
        ConvNormActOptions { names: ("conv", "bn"), conv, eps: EPS, momentum: 0.1, activation: Activation::Relu };
    let layer = ConvNormAct::new(&params, 3, 5, (3, 3), options).unwrap();
    for (i, name) in ["conv.bias", "bn.weight", "bn.bias", "bn.running_mean"].into_iter().enumerate() {
        params.get(name).unwrap().var.set(&random(5, 60 + i as u64)).unwrap();
    }
    let var = |name: &str| params.get(name).unwrap().var;
    let x = Var::from_tensor(&random((2, 3, 6, 5), 1)).unwrap();
    let forward = |pass: &Pass| layer.run(&Maps::new(&x, FIRST).unwrap(), pass).unwrap().to_tensor(FIRST).unwrap();
    let (weight, bias, gamma, beta) = (var("conv.weight"), var("conv.bias"), var("bn.weight"), var("bn.bias"));
    let y = conv2d(&x, &weight, Some(&bias), &Conv2dConfig::default(), FIRST).unwrap();

    let (mean, variance) = (var("bn.running_mean").as_tensor().copy().unwrap(), var("bn.running_var"));
    let expected = batch_norm_eval(&y, &gamma, &beta, &mean, &variance.as_detached_tensor(), EPS, FIRST).unwrap();
    let (got, expected) = (forward(&Pass { norm: NormMode::Eval, ..Pass::train() }), expected.relu().unwrap());
    assert_close("eval", &got, &expected, 1e-12);
    let (got, expected) = (projected(&got).backward().unwrap(), projected(&expected).backward().unwrap());
    for var in [&x, &weight, &bias, &gamma, &beta] {
        assert_close("gradient", got.get(var).unwrap(), expected.get(var).unwrap(), 1e-11);
    }

    let (expected, stats) = batch_norm_train(&y, &gamma, &beta, EPS, FIRST).unwrap();
    assert_close("train", &forward(&Pass::train()), &expected.relu().unwrap(), 1e-12);
    let moved = (mean.affine(0.9, 0.0).unwrap() + stats.mean.affine(0.1, 0.0).unwrap()).unwrap();
    assert_close("running mean", &var("bn.running_mean"), &moved, 1e-12);
}

#[test]
fn a_layer_is_its_three_operations() {
    for shape in SHAPES {
        for activation in [Activation::Identity, Activation::Relu, Activation::Relu6] {
            let layer = Case::new(shape, activation, DType::F64);
            let x = Var::from_tensor(&random((3, shape.3, 9, 11), 1)).unwrap();
            for norm in [NormMode::Eval, NormMode::Frozen, NormMode::Train] {
                let pass = Pass { norm, ..Pass::train() };
                let expected = layer.separately(&x, &pass);
                let got = layer.run(&x, &pass);
                let what = format!("{shape:?} {activation:?} {norm:?}");
                assert_close(&what, &got, &expected, 1e-12);
                let (got, expected) = (projected(&got).backward().unwrap(), projected(&expected).backward().unwrap());
                assert_close(&format!("{what} x"), got.get(&x).unwrap(), expected.get(&x).unwrap(), 1e-11);
                for entry in layer.params.entries().iter().filter(|entry| entry.kind == Kind::Parameter) {
                    if norm == NormMode::Frozen && entry.name.starts_with("bn") {
                        assert!(got.get(&entry.var).is_none(), "{what} {}: constants have no gradient", entry.name);
                        continue;
                    }
                    let (got, expected) = (got.get(&entry.var).unwrap(), expected.get(&entry.var).unwrap());
                    assert_close(&format!("{what} {}", entry.name), got, expected, 1e-11);
                }
            }
        }
    }
}

/// Weights and maps so large that work is cut in each of the ways that there are: along the maps, along the weight, and
/// into runs of products that don't fit the cache.
#[test]
fn large_layers_are_their_operations_too() {
    let cases = [
        ((3, 1, 1, 96, 80), (2, 9, 8)),
        ((1, 1, 1, 272, 256), (2, 7, 7)),
        ((1, 1, 1, 130, 72), (3, 30, 41)),
        ((3, 1, 1, 17, 20), (2, 60, 70)),
        ((3, 2, 96, 96, 96), (1, 100, 90)),
    ];
    for (shape, (batch, height, width)) in cases {
        let layer = Case::new(shape, Activation::Relu, DType::F64);
        let x = Var::from_tensor(&random((batch, shape.3, height, width), 1)).unwrap();
        let (got, expected) = (layer.run(&x, &Pass::train()), layer.separately(&x, &Pass::train()));
        assert_close(&format!("{shape:?}"), &got, &expected, 1e-11);
        let (got, expected) = (projected(&got).backward().unwrap(), projected(&expected).backward().unwrap());
        assert_close(&format!("{shape:?} x"), got.get(&x).unwrap(), expected.get(&x).unwrap(), 1e-10);
        let weight = layer.params.get("conv.weight").unwrap().var;
        assert_close(&format!("{shape:?} weight"), got.get(&weight).unwrap(), expected.get(&weight).unwrap(), 1e-10);
    }
}

#[test]
fn prediction_without_a_graph_is_the_same() {
    for shape in SHAPES {
        let layer = Case::new(shape, Activation::Relu6, DType::F64);
        let x = random((2, shape.3, 8, 7), 1);
        let tracked = layer.run(&x, &Pass::eval().with_weights(Weights::Tracked));
        let finished = layer.run(&x, &Pass::eval());
        assert!(!finished.track_op() && tracked.track_op());
        assert_close(&format!("{shape:?}"), &finished, &tracked, 1e-12);
    }
}

#[test]
fn a_kept_weight_serves_pictures_of_any_size_and_is_that_of_its_first_pass() {
    for shape in SHAPES {
        for dtype in [DType::F32, DType::F64] {
            let layer = Case::new(shape, Activation::Relu, dtype);
            let pictures = [(2, 8, 7), (1, 13, 9), (3, 8, 7)]
                .map(|(batch, height, width)| random((batch, shape.3, height, width), 1).to_dtype(dtype).unwrap());
            let run = |pass: &Pass| pictures.each_ref().map(|x| layer.run(x, pass));
            let expected = run(&Pass::eval());
            for _ in 0..2 {
                for (got, expected) in run(&Pass::finished()).iter().zip(&expected) {
                    assert_close(&format!("{shape:?}"), got, expected, 0.0);
                }
            }
            // What a training would do is seen by passes that keep nothing.
            let weight = layer.params.get("conv.weight").unwrap().var;
            weight.set(&weight.as_tensor().affine(-1.0, 0.0).unwrap()).unwrap();
            let changed = layer.run(&pictures[0], &Pass::eval());
            assert!(values(&changed) != values(&expected[0]), "{shape:?}");
        }
    }
}

/// Two layers, a residual, a pooling: maps that are read once and maps that are read twice.
fn network(layers: &[Case; 3], x: &Tensor) -> c2f_ops::Result<Tensor> {
    let pass = Pass::train();
    let stem = layers[0].layer.run(&Maps::new(x, FIRST)?, &pass)?;
    let pooled = stem.max_pool(&PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) })?;
    let branch = layers[2].layer.run(&layers[1].layer.run(&pooled, &pass)?, &pass)?;
    let sum = branch.add(&pooled, Activation::Relu)?;
    sum.add(&sum, Activation::Identity)?.to_tensor(FIRST)
}

fn layers() -> [Case; 3] {
    [
        Case::new((3, 1, 1, 3, 4), Activation::Relu, DType::F64),
        Case::new((3, 1, 4, 4, 4), Activation::Relu6, DType::F64),
        Case::new((1, 1, 1, 4, 4), Activation::Identity, DType::F64),
    ]
}

#[test]
fn a_networks_gradient_is_the_differences() {
    let layers = layers();
    check_gradient(&[random((2, 3, 5, 6), 1)], |t| network(&layers, &t[0]), 1e-5);
}

#[test]
fn a_network_is_its_operations_on_tensors() {
    let layers = layers();
    let x = Var::from_tensor(&random((2, 3, 7, 6), 1)).unwrap();
    let pass = Pass::train();
    let config = PoolConfig { kernel: (3, 3), stride: (2, 2), padding: (1, 1) };
    let pooled = max_pool2d(&layers[0].separately(&x, &pass), &config, FIRST).unwrap();
    let branch = layers[2].separately(&layers[1].separately(&pooled, &pass), &pass);
    let sum = Activation::Relu.of(&(branch + pooled).unwrap()).unwrap();
    let expected = (&sum + &sum).unwrap();
    let got = network(&layers, &x).unwrap();
    assert_close("values", &got, &expected, 1e-12);
    let (got, expected) = (projected(&got).backward().unwrap(), projected(&expected).backward().unwrap());
    for entry in layers.iter().flat_map(|layer| layer.params.entries()).filter(|e| e.kind == Kind::Parameter) {
        assert_close(&entry.name, got.get(&entry.var).unwrap(), expected.get(&entry.var).unwrap(), 1e-11);
    }
}

const WINDOWS: PoolConfig = PoolConfig { kernel: (3, 3), stride: (1, 1), padding: (1, 1) };

/// Branches side by side: one that the joined maps alone read, one behind a pooling, and one that is there twice.
fn module(layers: &[Case; 3], x: &Tensor) -> c2f_ops::Result<Tensor> {
    let x = Maps::new(x, FIRST)?;
    let [one, pooled, twice] = layers.each_ref().map(|case| case.layer.run(&x, &Pass::train()));
    let twice = twice?;
    Maps::concat(&[one?, pooled?.max_pool(&WINDOWS)?, twice.clone(), twice])?.to_tensor(FIRST)
}

/// So wide that the work on each branch is several tasks.
fn branches(dtype: DType) -> [Case; 3] {
    [
        Case::new((3, 1, 1, 5, 70), Activation::Relu, dtype),
        Case::new((1, 1, 1, 5, 33), Activation::Relu6, dtype),
        Case::new((1, 1, 1, 5, 40), Activation::Identity, dtype),
    ]
}

#[test]
fn a_module_is_its_operations_on_tensors() {
    let layers = branches(DType::F64);
    let x = Var::from_tensor(&random((3, 5, 17, 19), 1)).unwrap();
    let [one, pooled, twice] = layers.each_ref().map(|layer| layer.separately(&x, &Pass::train()));
    let pooled = max_pool2d(&pooled, &WINDOWS, FIRST).unwrap();
    let expected = Tensor::cat(&[&one, &pooled, &twice, &twice], 1).unwrap();
    let got = module(&layers, &x).unwrap();
    assert_close("values", &got, &expected, 1e-12);
    let (got, expected) = (projected(&got).backward().unwrap(), projected(&expected).backward().unwrap());
    assert_close("x", got.get(&x).unwrap(), expected.get(&x).unwrap(), 1e-11);
    for entry in layers.iter().flat_map(|layer| layer.params.entries()).filter(|e| e.kind == Kind::Parameter) {
        assert_close(&entry.name, got.get(&entry.var).unwrap(), expected.get(&entry.var).unwrap(), 1e-10);
    }
}

#[test]
fn a_modules_gradient_is_the_differences() {
    let layers = branches(DType::F64);
    check_gradient(&[random((1, 5, 4, 3), 1)], |t| module(&layers, &t[0]), 1e-5);
}

#[test]
fn a_module_gives_the_same_bits_on_one_two_and_three_threads() {
    let x = random((3, 5, 17, 19), 1).to_dtype(DType::F32).unwrap();
    let run = |threads: usize| {
        let (layers, x) = (branches(DType::F32), Var::from_tensor(&x).unwrap());
        rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
            let y = module(&layers, &x).unwrap();
            let gradients = projected(&y).backward().unwrap();
            let variables = layers.iter().flat_map(|layer| layer.params.entries()).map(|entry| entry.var);
            let found = variables.chain([x.clone()]).filter_map(|var| gradients.get(&var).map(bits));
            [bits(&y)].into_iter().chain(found).collect::<Vec<_>>()
        })
    };
    let one = run(1);
    assert_eq!(one.len(), 11, "values, gradients of three times three parameters and of x");
    assert!(one == run(2) && one == run(3));
}

#[test]
fn results_are_the_same_bits_on_one_two_and_three_threads() {
    for shape in [(1, 1, 1, 24, 144), (3, 2, 1, 16, 40), (5, 1, 48, 48, 48), (3, 1, 1, 8, 8)] {
        let x = random((5, shape.3, 23, 29), 1).to_dtype(DType::F32).unwrap();
        let run = |threads: usize| {
            let layer = Case::new(shape, Activation::Relu6, DType::F32);
            let x = Var::from_tensor(&x).unwrap();
            rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(|| {
                let y = layer.run(&x, &Pass::train());
                let gradients = projected(&y).backward().unwrap();
                let parameters = layer.params.entries().into_iter().filter(|entry| entry.kind == Kind::Parameter);
                let mut all = vec![bits(&y), bits(gradients.get(&x).unwrap())];
                all.extend(parameters.map(|entry| bits(gradients.get(&entry.var).unwrap())));
                all.push(bits(&layer.var("bn.running_var")));
                all
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(3), "{shape:?} depends on the number of threads");
    }
}

#[test]
fn tensors_go_in_and_come_out_unchanged() {
    for (format, shape) in [(FIRST, (2, 3, 4, 5)), (Format::ChannelsLast, (2, 4, 5, 3))] {
        let x = random(shape, 1);
        let maps = Maps::new(&x, format).unwrap();
        assert_eq!(maps.dims().unwrap(), (2, 3, 4, 5));
        assert_eq!(values(&maps.to_tensor(format).unwrap()), values(&x));
        check_gradient(&[x], |t| Maps::new(&t[0], format)?.to_tensor(format), 1e-9);
    }
}

#[test]
fn a_second_backward_pass_and_wrong_shapes_are_errors() {
    let layer = Case::new((1, 1, 1, 2, 3), Activation::Relu, DType::F64);
    let y = projected(&layer.run(&random((1, 2, 3, 3), 1), &Pass::train()));
    y.backward().unwrap();
    let error = y.backward().unwrap_err().to_string();
    assert!(error.contains("can run once"), "{error}");

    let maps = |shape: (usize, usize, usize, usize)| Maps::new(&random(shape, 1), FIRST).unwrap();
    let error = maps((1, 2, 3, 3)).add(&maps((1, 2, 3, 4)), Activation::Relu).unwrap_err().to_string();
    assert!(error.contains("[1, 2, 3, 4]"), "{error}");
    let error = layer.layer.run(&maps((1, 5, 3, 3)), &Pass::train()).unwrap_err().to_string();
    assert!(error.contains("5 channels"), "{error}");
    assert!(Maps::new(&random((2, 3), 1), FIRST).is_err());
}

#[test]
fn a_branch_without_channels_is_an_error() {
    let maps = |channels| Maps::new(&random((2, 3, 3, channels), 1), Format::ChannelsLast);
    let error = maps(4).and_then(|x| Maps::concat(&[x, maps(0)?])).unwrap_err();
    assert!(error.to_string().contains("[2, 3, 3, 0]"), "{error}");
}
