//! Naming schemes: how a file's names become this crate's.

mod efficientnet_pytorch;
mod timm;
mod torchvision;
mod wrapper;

pub(super) use wrapper::recognise;

/// What a tensor of a file is to a backbone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A parameter or a running statistic, under this crate's name.
    Feature(String),
    /// Of no use here: ImageNet's classifier, or a counter.
    Ignored,
}

/// One naming scheme.
pub(super) struct Scheme {
    /// Whose it is.
    pub name: &'static str,
    /// Whether a file that has this name follows the scheme.
    recognises: fn(&str) -> bool,
    /// The roles of all of a file's names. A name that the scheme doesn't have stays as it is.
    roles: fn(&[&str]) -> Vec<Role>,
}

/// One line per scheme.
static SCHEMES: [Scheme; 3] = [timm::SCHEME, torchvision::SCHEME, efficientnet_pytorch::SCHEME];

impl Scheme {
    /// The roles of all of a file's names.
    pub fn roles(&self, names: &[&str]) -> Vec<Role> {
        let mut roles = (self.roles)(names);
        for (role, name) in roles.iter_mut().zip(names) {
            // BatchNorm's count of steps, which matters only without a momentum.
            if name.ends_with(".num_batches_tracked") {
                *role = Role::Ignored;
            }
        }
        roles
    }
}

/// Names that stay, but for those of the layers behind the features.
fn keep_all_but(names: &[&str], ignored: &[&str]) -> Vec<Role> {
    let is_ignored = |name: &str| ignored.iter().any(|prefix| name.starts_with(prefix));
    let role = |name: &&str| if is_ignored(name) { Role::Ignored } else { Role::Feature((*name).to_owned()) };
    names.iter().map(role).collect()
}
