//! What the tests of the engine share: a run that takes seconds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use c2f_train::{Event, Method, Network, Recipe, Result, Summary, TrainOptions, train};
use candle_core::Device;

/// 24 training pictures of 3 classes at 32 pixels in batches of 6: four batches an epoch.
pub fn recipe(method: Method) -> Recipe {
    let mut recipe = Recipe::builtin("quickstart").unwrap();
    for assignment in [
        &format!("method={method}"),
        "data=synthetic?classes=3&size=24",
        "image_size=32",
        "epochs=2",
        "batch_size=6",
        "attention.maps=4",
        "inverse.channels=2",
        "inverse.decoder_channels=4",
        "inverse.coarse_epochs=1",
    ] {
        recipe.set(assignment).unwrap();
    }
    recipe.validate().unwrap();
    recipe
}

/// The recipe's network, untrained.
pub fn network(recipe: &Recipe) -> Network {
    Network::new(recipe, ["a", "b", "c"].map(str::to_owned).to_vec(), &Device::Cpu).unwrap()
}

pub fn options(output: &Path, resume: bool) -> TrainOptions {
    let stop = Arc::new(AtomicBool::new(false));
    TrainOptions { output: output.to_owned(), resume, device: Device::Cpu, stop }
}

/// Trains until `batches` batches are done.
pub fn train_until(recipe: &Recipe, output: &Path, resume: bool, batches: usize) -> Result<Summary> {
    let options = options(output, resume);
    let stop = Arc::clone(&options.stop);
    let mut done = 0;
    train(recipe, &options, &mut |event| {
        if let Event::Batch { .. } = event {
            done += 1;
            if done == batches {
                stop.store(true, Ordering::Relaxed);
            }
        }
    })
}

pub fn train_all(recipe: &Recipe, output: &Path) -> Summary {
    train(recipe, &options(output, false), &mut |_| {}).unwrap()
}
