//! What the tests of the engine share: a run that takes seconds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use c2f_engine::{Event, Method, Network, Recipe, Result, RunFolder, Summary, TrainOptions, World, train};
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
        "isqrt_cov.channels=8",
        "pmg.channels=8",
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
    let output = if resume { RunFolder::reopen(output) } else { RunFolder::create(output) };
    TrainOptions { output: output.unwrap(), resume, device: Device::Cpu, world: World::Single, stop }
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

/// Draws `count` pictures of each class of [`recipe`]'s data, from the drawing numbered `first` of the class on, into
/// `folder/CLASS/N.png`.
pub fn draw(folder: &Path, first: usize, count: usize) {
    let dataset = c2f_data::open(&"synthetic?classes=3&size=96&seed=5".parse().unwrap()).unwrap();
    for (label, class) in dataset.classes.iter().enumerate() {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        let samples = dataset.splits["train"].iter().filter(|sample| sample.label == label).enumerate();
        for (number, sample) in samples.skip(first).take(count) {
            c2f_data::decode(sample).unwrap().save(folder.join(format!("{class}/{number}.png"))).unwrap();
        }
    }
}

/// [`recipe`] on a folder of pictures, in one epoch.
pub fn folder_recipe(folder: &Path, options: &str) -> Recipe {
    let mut recipe = recipe(Method::Baseline);
    recipe.set(&format!("data=folder:{}{options}", folder.display())).unwrap();
    recipe.set("epochs=1").unwrap();
    recipe
}
