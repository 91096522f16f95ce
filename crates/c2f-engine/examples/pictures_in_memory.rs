//! Trains Coarse2Fine on pictures that are in memory, and asks the network about one.
//!
//! `cargo run --release -p c2f-engine --example pictures_in_memory`

use std::error::Error;
use std::sync::Arc;

use c2f_data::{Dataset, Sample};
use c2f_engine::{Data, Event, Recipe, RunFolder, TrainOptions, World, guess, load_network, train_on};
use candle_core::Device;
use image::{Rgb, RgbImage};

/// A disc on a ground of noise: red or, where `label` is 1, of a little less red.
fn picture(label: usize, number: u32) -> RgbImage {
    let (cx, cy) = (16 + number * 7 % 64, 16 + number * 13 % 64);
    let red = if label == 0 { 230 } else { 150 };
    RgbImage::from_fn(96, 96, |x, y| {
        let noise = (x.wrapping_mul(0x9e37) ^ y.wrapping_mul(0x85eb) ^ number.wrapping_mul(0xc2b2)) % 60;
        let is_inside = x.abs_diff(cx).pow(2) + y.abs_diff(cy).pow(2) < 144;
        if is_inside { Rgb([red, 40, 40]) } else { Rgb([noise as u8 + 60; 3]) }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let samples = |from: u32, to: u32| -> Vec<Sample> {
        let both = (from..to).flat_map(|number| [(0, number), (1, number)]);
        both.map(|(label, n)| Sample::of_picture(format!("{label}-{n}"), label, picture(label, n))).collect()
    };
    // Two of the validation pictures are made when they are asked for, as those of a database would be.
    let mut validation = samples(80, 100);
    for label in 0..2 {
        let name = format!("made-{label}");
        validation.push(Sample::of_closure(name, label, move || Ok::<_, String>(picture(label, 110))));
    }
    let classes = vec!["red".to_owned(), "less red".to_owned()];
    let dataset = Dataset::of_samples("discs", classes, [("train", samples(0, 80)), ("val", validation)])?;

    let folder = tempfile::tempdir()?;
    let mut recipe = Recipe::builtin("quickstart")?;
    for setting in ["epochs=8", "inverse.coarse_epochs=4", "augment.hue=0", "augment.brightness=0"] {
        recipe.set(setting)?;
    }
    let output = RunFolder::create(&folder.path().join("run"))?;
    let options =
        TrainOptions { output, resume: false, device: Device::Cpu, world: World::Single, stop: Arc::default() };
    let summary = train_on(&Data::of(dataset)?, &recipe, &options, &mut |event| {
        if let Event::Epoch { record, .. } = event {
            println!("epoch {}: {:.0} % of the validation pictures right", record.epoch, record.val_top1 * 100.0);
        }
    })?;

    let network = load_network(&options.output, &options.device)?;
    let view = network.eval_transform().apply(&picture(1, 120), 0, 0, 0);
    let guesses = guess(&network, &[&[view]], 2)?;
    let best = &guesses[0].classes[0];
    println!("a new one is {} ({:.0} %)", best.class, best.probability * 100.0);
    let best = summary.best.map_or(0.0, |epoch| epoch.val_top1);
    if best > 0.7 { Ok(()) } else { Err(format!("only {best} of the pictures are right").into()) }
}
