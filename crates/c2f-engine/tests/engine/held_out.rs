//! What a finished training measures on the pictures that it was chosen by.

use c2f_data::Spec;
use c2f_engine::checkpoint::{Checkpoint, best_path};
use c2f_engine::{Event, Method, TestViews, evaluate, load_network, select, train};
use candle_core::Device;

use crate::support::{options, recipe, train_all};

#[test]
fn a_temperature_lowers_the_loss_and_changes_no_answer() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("run");
    for method in [Method::Coarse2fineOrthogonal, Method::WsDan] {
        let output = output.join(method.to_string());
        let mut recipe = recipe(method);
        recipe.set("data=synthetic?classes=3&size=48&holdout=25").unwrap();
        let mut found = None;
        train(&recipe, &options(&output, false), &mut |event| {
            if let Event::HeldOut(held_out) = event {
                found = Some(held_out.clone());
            }
        })
        .unwrap();
        let mut network = load_network(&output, &Device::Cpu).unwrap();
        assert_eq!(network.held_out, found);
        let held_out = found.unwrap();
        assert!(held_out.temperature > 0.0 && held_out.threshold(0.1) <= held_out.threshold(0.9));
        let spec: Spec = recipe.data.as_ref().unwrap().parse().unwrap();
        let pictures = select(&network, &spec, Some("val")).unwrap().samples;
        let measure = |network: &_| evaluate(network, &pictures, TestViews::default(), &mut |_, _| {}).unwrap();
        let with = measure(&network);
        network.held_out = None;
        let without = measure(&network);
        assert!(with.loss <= without.loss + 1e-9, "{method}: {} and {}", with.loss, without.loss);
        assert_eq!((with.top1, with.top5, with.top1_fine), (without.top1, without.top5, without.top1_fine));

        // A run that is complete measures the same once more.
        let before = std::fs::read(best_path(&output)).unwrap();
        train(&recipe, &options(&output, true), &mut |_| {}).unwrap();
        let again = Checkpoint::read(&best_path(&output)).unwrap();
        assert_eq!(again.held_out.unwrap(), held_out);
        assert_eq!(std::fs::read(best_path(&output)).unwrap().len(), before.len());
    }
}

#[test]
fn what_is_tested_on_measures_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(Method::Attention);
    train_all(&recipe, folder.path());
    assert_eq!(load_network(folder.path(), &Device::Cpu).unwrap().held_out, None);
}
