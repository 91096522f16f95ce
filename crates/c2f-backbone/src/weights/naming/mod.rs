//! Naming schemes: how a file's names become this crate's.

mod efficientnet_pytorch;
mod timm;
mod torchvision;

/// What a tensor of a file is to a backbone.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A parameter or a running statistic, under this crate's name.
    Feature(String),
    /// Of no use here: ImageNet's classifier, or a counter.
    Ignored,
}

/// One naming scheme.
pub(super) struct Scheme {
    /// Whether a file that has this name follows the scheme.
    recognises: fn(&str) -> bool,
    /// This crate's name. A name that the scheme doesn't have stays as it is.
    rename: fn(&str) -> Role,
}

/// One line per scheme.
static SCHEMES: [Scheme; 3] = [timm::SCHEME, torchvision::SCHEME, efficientnet_pytorch::SCHEME];

/// The scheme that a file's names follow, if it is known.
pub(super) fn recognise<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<&'static Scheme> {
    names.into_iter().find_map(|name| SCHEMES.iter().find(|scheme| (scheme.recognises)(name)))
}

impl Scheme {
    /// What the tensor of that name is.
    pub fn role(&self, name: &str) -> Role {
        // BatchNorm's count of steps, which matters only without a momentum.
        if name.ends_with(".num_batches_tracked") { Role::Ignored } else { (self.rename)(name) }
    }
}
