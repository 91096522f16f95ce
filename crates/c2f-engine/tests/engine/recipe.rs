//! Recipes parse, check, round-trip and say what is wrong with them.

use c2f_engine::{Error, Method, Recipe};

fn changed(assignment: &str) -> Result<Recipe, Error> {
    let mut recipe = Recipe::builtin("default")?;
    recipe.set(assignment)?;
    recipe.validate()?;
    Ok(recipe)
}

#[test]
fn built_in_recipes_round_trip() {
    for name in Recipe::builtin_names() {
        let recipe = Recipe::builtin(name).unwrap();
        assert_eq!(Recipe::from_toml(name, &recipe.to_toml()).unwrap(), recipe, "{name}");
    }
}

#[test]
fn the_default_is_the_full_method_on_photographs() {
    let recipe = Recipe::load("default").unwrap();
    assert_eq!(recipe.method, Method::Coarse2fineOrthogonal);
    assert_eq!((recipe.backbone.as_str(), recipe.image_size, recipe.epochs), ("tf_efficientnet_lite0", 224, 16));
    assert!(recipe.data.is_none() && recipe.weights.is_none());
}

#[test]
fn a_file_says_only_what_differs() {
    let recipe = Recipe::from_toml("mine", "epochs = 3\n[optimizer]\nlr = 1\n").unwrap();
    assert_eq!((recipe.epochs, recipe.optimizer.lr, recipe.optimizer.momentum), (3, 1.0, 0.9));
    assert_eq!(recipe.method, Recipe::builtin("default").unwrap().method);
}

#[test]
fn every_method_can_be_set_on_every_recipe() {
    for name in Recipe::builtin_names() {
        for method in Method::ALL {
            let mut recipe = Recipe::builtin(name).unwrap();
            recipe.set(&format!("method={method}")).unwrap();
            recipe.validate().unwrap();
            assert_eq!(recipe.method, method);
            assert_eq!(method.name().parse::<Method>().unwrap(), method);
        }
    }
}

#[test]
fn values_of_every_type_can_be_set() {
    assert_eq!(changed("optimizer.lr=1").unwrap().optimizer.lr, 1.0);
    assert!(!changed("optimizer.nesterov=false").unwrap().optimizer.nesterov);
    assert_eq!(changed("augment.crop_scale=[0.25, 0.5]").unwrap().augment.crop_scale, [0.25, 0.5]);
    assert_eq!(changed("backbone=resnet18").unwrap().backbone, "resnet18");
    assert_eq!(changed("weights=dir/a=b.pth").unwrap().weights.as_deref(), Some("dir/a=b.pth"));
    let mut recipe = changed("data=synthetic").unwrap();
    recipe.set("data=").unwrap();
    assert_eq!(recipe.data, None);
}

#[test]
fn an_unknown_name_lists_near_ones() {
    for (assignment, near) in [
        ("optimiser.lr=1", "optimizer.lr"),
        ("optimizer.learning_rate=1", "optimizer."),
        ("lr=1", "optimizer.lr"),
        ("batchsize=8", "batch_size"),
        ("weight=a.pth", "weights"),
        ("inverse.coarse_epoch=1", "inverse.coarse_epochs"),
    ] {
        let error = changed(assignment).unwrap_err();
        assert!(error.is_usage() && error.to_string().contains(near), "{assignment}: {error}");
    }
    let error = Recipe::from_toml("mine", "[optimizer]\nlrr = 1\n").unwrap_err();
    assert!(error.to_string().contains("optimizer.lr"), "{error}");
    // Setting a table, or a field of what is none.
    assert!(matches!(changed("optimizer=1"), Err(Error::UnknownField { .. })));
    assert!(matches!(changed("epochs.x=1"), Err(Error::UnknownField { .. })));
}

#[test]
fn a_wrong_value_names_field_value_and_range() {
    for (assignment, parts) in [
        ("epochs=0", ["epochs", "1 to"]),
        ("optimizer.lr=-1", ["optimizer.lr", "0 to"]),
        ("optimizer.lr=nan", ["optimizer.lr", "NaN"]),
        ("optimizer.momentum=1", ["optimizer.momentum", "less than 1"]),
        ("augment.crop_scale=[0.9, 0.5]", ["augment.crop_scale", "[0.9, 0.5]"]),
        ("inverse.source_scale=0.5", ["inverse.source_scale", "1 to 8"]),
        ("backbone=resnet51", ["resnet51", "resnet50"]),
        ("data=nothing:here", ["nothing", ""]),
        ("epochs=many", ["epochs", "many"]),
        ("epochs=1.5", ["epochs", "1.5"]),
        ("optimizer.kind=sdg", ["optimizer.kind", "sgd"]),
        ("method=coarse3fine", ["method", "coarse2fine"]),
        ("augment.fit=stretch", ["augment.fit", "squash"]),
        ("augment.policy=auto-augment", ["augment.policy", "trivial-augment"]),
        ("augment.rotation=181", ["augment.rotation", "0 to 180"]),
        ("augment.rand_magnitude=31", ["augment.rand_magnitude", "0 to 30"]),
        ("augment.random_erasing=1.5", ["augment.random_erasing", "0 to 1"]),
        ("augment.mixup=-1", ["augment.mixup", "0 to"]),
        ("loader.disk_cache_mb=0", ["loader.disk_cache_mb", "1 to"]),
        ("loader.max_megapixels=0", ["loader.max_megapixels", "1 to 4000"]),
        ("loader.sampling=even", ["loader.sampling", "balanced"]),
        ("loss.label_smoothing=[1]", ["loss.label_smoothing", "[1]"]),
    ] {
        let error = changed(assignment).unwrap_err();
        let text = error.to_string();
        assert!(error.is_usage(), "{assignment}: {text}");
        assert!(parts.iter().all(|part| text.contains(part)), "{assignment}: {text}");
        assert!(!text.contains('\n'), "{assignment}: {text}");
    }
    let with_centers = "[augment]\nmixup = 0.2\n[loss]\ncenter_weight = 1.0\n";
    assert!(Recipe::from_toml("mine", with_centers).unwrap_err().to_string().contains("centre loss"));
    let error = Recipe::from_toml("mine", "epochs = \"many\"\n").unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("epochs"), "{error}");
}

#[test]
fn what_is_no_recipe_is_told_apart() {
    assert!(matches!(Recipe::load("no-such-recipe"), Err(Error::UnknownRecipe { .. })));
    assert!(matches!(Recipe::from_toml("mine", "epochs = = 1"), Err(Error::RecipeSyntax { .. })));
    assert!(matches!(changed("epochs"), Err(Error::Assignment(_))));
}

#[test]
fn the_recipes_of_the_table_are_recipes() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets/recipes/table");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 4);
    for file in files {
        Recipe::from_file(&file).unwrap();
    }
}

#[test]
fn old_names_of_fields_keep_working() {
    let text =
        "[optimizer]\naccumulate = 4\nbackbone_factor = 0.5\n[augment]\nerase = 0.25\n[checkpoint]\nevery_steps = 9\n";
    let recipe = Recipe::from_toml("old", text).unwrap();
    assert_eq!((recipe.optimizer.grad_accum_steps, recipe.checkpoint.every_batches), (4, 9));
    assert_eq!((recipe.optimizer.backbone_lr_scale, recipe.augment.random_erasing), (0.5, 0.25));
    assert!(!recipe.to_toml().contains("accumulate"), "old names aren't written");

    let mut recipe = Recipe::builtin("default").unwrap();
    recipe.set("loss.diversity_weight=0.5").unwrap();
    assert_eq!(recipe.loss.attention_similarity_weight, 0.5);
    let error = recipe.set("optimizer.accumulate=x").unwrap_err().to_string();
    assert!(error.contains("optimizer.grad_accum_steps"), "{error}");
    let both = "[augment]\nerase = 0.25\nrandom_erasing = 0.5";
    let error = Recipe::from_toml("both", both).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("augment.erase"), "{error}");
}
