//! Single convolutions: c2f, stock candle and PyTorch.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::programs::Programs;
use crate::process::{json_lines, output};
use crate::table::{Table, digits};

/// What the example `layers` of c2f-ops prints for a layer, as far as the table needs it, in GFLOP/s.
#[derive(Deserialize)]
struct Layer {
    name: String,
    forward: f64,
    backward: f64,
    candle_forward: f64,
    candle_backward: f64,
}

/// What `torch_layers.py` prints for a layer, in GFLOP/s.
#[derive(Deserialize)]
struct TorchLayer {
    name: String,
    forward: f64,
    backward: f64,
}

/// The line above the table; `matrix_product` is what this machine can do, in GFLOP/s.
pub fn header(matrix_product: f64) -> String {
    format!(
        "Convolutions, batch 8, f32, in GFLOP/s; bwd is the gradients of input and weight together. For comparison: \
         torch.mm of two 2048 x 2048 matrices runs at {} GFLOP/s.",
        digits(matrix_product)
    )
}

/// Measures every layer of the example, PyTorch after c2f and candle.
pub fn table(programs: &Programs) -> Result<Table> {
    eprintln!("layers: c2f and candle");
    let printed = output(programs.c2f("examples/layers"))?;
    let layers: Vec<Layer> = json_lines("the example layers", &printed)?;
    // PyTorch reads from there what to measure.
    let file = programs.scratch("layers.jsonl");
    fs::write(&file, &printed).with_context(|| format!("{} could not be written", file.display()))?;
    eprintln!("layers: PyTorch");
    let mut command = programs.torch("torch_layers.py");
    command.arg(&file);
    let torch = json_lines("torch_layers.py", &output(command)?)?;
    arrange(layers, torch)
}

fn arrange(layers: Vec<Layer>, torch: Vec<TorchLayer>) -> Result<Table> {
    let same = layers.iter().map(|layer| &layer.name).eq(torch.iter().map(|layer| &layer.name));
    ensure!(same, "torch_layers.py measured other layers than the example layers");
    let mut table =
        Table::new(&["layer", "c2f fwd", "candle fwd", "PyTorch fwd", "c2f bwd", "candle bwd", "PyTorch bwd"]);
    for (layer, torch) in layers.into_iter().zip(torch) {
        table.push([
            layer.name,
            digits(layer.forward),
            digits(layer.candle_forward),
            digits(torch.forward),
            digits(layer.backward),
            digits(layer.candle_backward),
            digits(torch.backward),
        ]);
    }
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str) -> Layer {
        Layer { name: name.to_owned(), forward: 1.0, backward: 4.0, candle_forward: 2.0, candle_backward: 5.0 }
    }

    fn torch_layer(name: &str) -> TorchLayer {
        TorchLayer { name: name.to_owned(), forward: 3.0, backward: 6.0 }
    }

    #[test]
    fn numbers_stand_in_the_columns_of_their_side() {
        let table = arrange(vec![layer("stem")], vec![torch_layer("stem")]).unwrap().to_string();
        let row: Vec<&str> = table.lines().last().unwrap().split('|').map(str::trim).collect();
        assert_eq!(row, ["", "stem", "1.00", "2.00", "3.00", "4.00", "5.00", "6.00", ""]);
    }

    #[test]
    fn other_layers_are_refused() {
        assert!(arrange(vec![layer("stem")], vec![torch_layer("head")]).is_err());
        assert!(arrange(vec![layer("stem")], Vec::new()).is_err());
    }
}
