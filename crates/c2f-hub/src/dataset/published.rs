//! Where the field's data sets are published. Sizes and checksums are those that torchvision, TensorFlow Datasets or the
//! publishers give.

use std::path::Path;

use super::Published;
use crate::{Digest, Error, Remote, Result};

/// The kinds that [`published`] knows.
pub const KINDS: [&str; 14] = [
    "aircraft",
    "cars",
    "cub2010",
    "cub2011",
    "dogs",
    "flowers102",
    "food101",
    "inat2017",
    "inat2018",
    "inat2019",
    "inat2021",
    INAT2021_MINI,
    "nabirds",
    "pets",
];

/// The 50 training pictures a class of 2021 in place of all.
const INAT2021_MINI: &str = "inat2021-mini";

const CALTECH: &str = "https://data.caltech.edu/records/65de6-vp158/files";
const CARS: &str = "http://ai.stanford.edu/~jkrause/car196";
const DOGS: &str = "http://vision.stanford.edu/aditya86/ImageNetDogs";
const DRIVE: &str = "https://drive.usercontent.google.com/download?export=download&confirm=t&id=";
/// Copies of CUB-200-2011 and Cars, byte for byte; the checksums are those of the originals.
const FGVC: &str = "https://huggingface.co/datasets/XiN0919/FGVC/resolve/main";
const INAT: &str = "https://ml-inat-competition-datasets.s3.amazonaws.com";
const VGG: &str = "https://www.robots.ox.ac.uk/~vgg/data";
/// Another name of the same server.
const THOR: &str = "https://thor.robots.ox.ac.uk/~vgg/data";

const INAT2021_VAL: [(&str, Option<&str>); 2] = [
    ("val.tar.gz", Some("f6f6e0e242e3d4c9569ba56400938afc")),
    ("val.json.tar.gz", Some("4d761e0f6a86cc63e8f7afc91f6a8f0b")),
];

/// The text that names a data set of one of the [`KINDS`] that lies in `folder`.
pub fn spec(kind: &str, folder: &Path) -> String {
    if kind == INAT2021_MINI {
        return format!("inat2021:{}?train=train_mini", folder.display());
    }
    let text = format!("{kind}:{}", folder.display());
    // Options begin at the last question mark.
    if text.contains('?') { text + "?" } else { text }
}

/// Where the data set of that kind is published.
///
/// # Errors
/// If there is no such kind, or if its publisher gives it only to those who agree to its terms.
pub fn published(kind: &str) -> Result<Published> {
    let set = match kind {
        "aircraft" => {
            let archive = file(&format!("{VGG}/fgvc-aircraft/archives"), "fgvc-aircraft-2013b.tar.gz");
            let archive = archive.md5("d4acdd33327262359767eeaa97a4f732");
            set("fgvc-aircraft-2013b", &format!("{VGG}/fgvc-aircraft"), [archive]).inner("fgvc-aircraft-2013b")
        }
        // The joint form, since no copy of the split one has a checksum.
        "cars" => {
            let pictures = file(CARS, "car_ims.tgz").size(1_956_628_579).md5("d5c8f0aa497503f355e17dc7886c3f14");
            let labels = file(CARS, "cars_annos.mat").md5("b407c6086d669747186bd1d764ff9dbc");
            set(
                "stanford_cars",
                "https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
                [pictures.or_from(FGVC), labels.or_from(FGVC)],
            )
        }
        "cub2010" => {
            let drive = |id: &str, name: &str| file_at(&format!("{DRIVE}{id}"), name);
            set(
                "CUB_200_2010",
                "https://www.vision.caltech.edu/visipedia/CUB-200.html",
                [
                    drive("1GDr1OkoXdhaXWGA8S3MAq3a522Tak-nx", "images.tgz")
                        .size(679_421_896)
                        .sha256("2a6d2246bbb9778ca03aa94e2e683ccb4f8821a36b7f235c0822e659d60a803e"),
                    drive("1vZuZPqha0JjmwkdaS_XtYryE3Jf5Q1AC", "lists.tgz")
                        .size(201_844)
                        .sha256("aeacbd5e3539ae84ea726e8a266a9a119c18f055cd80f3836d5eb4500b005428"),
                    drive("16NsbTpMs5L6hT4hUJAmpW2u7wH326WTR", "annotations.tgz")
                        .size(11_531_634)
                        .sha256("c17b7841c21a66aa44ba8fe92369cc95dfc998946081828b1d7b8a4b716805c1"),
                ],
            )
        }
        "cub2011" => {
            let archive = file(CALTECH, "CUB_200_2011.tgz")
                .or_from("https://s3.amazonaws.com/fast-ai-imageclas")
                .or_from(FGVC)
                .size(1_150_585_339)
                .sha256("0c685df5597a8b24909f6a7c9db6d11e008733779a671760afef78feb49bf081");
            set("CUB_200_2011", "https://data.caltech.edu/records/65de6-vp158", [archive]).inner("CUB_200_2011")
        }
        "dogs" => set(
            "stanford_dogs",
            &format!("{DOGS}/"),
            [
                file(DOGS, "images.tar")
                    .size(793_579_520)
                    .sha256("a443fc2f9a851aa1a7b8e4fa4af94b8459fce2c9f5a2f4dd4669cf9673a4ec58"),
                file(DOGS, "annotation.tar")
                    .size(21_852_160)
                    .sha256("662ed36f707be6b195c2fda392d8e153e83af28cedc8e2134a649f198def30fd"),
                file(DOGS, "lists.tar")
                    .size(481_280)
                    .sha256("34b47cacd9a98b5d150e084f24d29391c084c55272295ec65c85651bc35f4d6c"),
            ],
        ),
        "flowers102" => {
            let flowers = format!("{VGG}/flowers/102");
            let mirror = format!("{THOR}/flowers/102");
            set(
                "flowers102",
                &flowers,
                [
                    file(&flowers, "102flowers.tgz")
                        .or_from(&mirror)
                        .size(344_862_509)
                        .sha256("2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246"),
                    file(&flowers, "imagelabels.mat")
                        .or_from(&mirror)
                        .size(502)
                        .sha256("4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d"),
                    file(&flowers, "setid.mat")
                        .or_from(&mirror)
                        .size(14_989)
                        .sha256("46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd"),
                ],
            )
        }
        "food101" => {
            let archive = file("http://data.vision.ee.ethz.ch/cvl", "food-101.tar.gz")
                .size(4_996_278_331)
                .sha256("d97d15e438b7f4498f96086a4f7e2fa42a32f2712e87d3295441b2b6314053a4");
            let page = "https://data.vision.ee.ethz.ch/cvl/datasets_extra/food-101/";
            set("food-101", page, [archive]).inner("food-101")
        }
        "inat2017" => inat(
            "2017",
            [
                ("train_val_images.tar.gz", Some("7c784ea5e424efaec655bd392f87301f")),
                ("train_val2017.zip", Some("444c835f6459867ad69fcb36478786e7")),
            ],
        ),
        "inat2018" => inat(
            "2018",
            [
                ("train_val2018.tar.gz", Some("b1c6952ce38f31868cc50ea72d066cc3")),
                ("train2018.json.tar.gz", Some("bfa29d89d629cbf04d826a720c0a68b0")),
                ("val2018.json.tar.gz", Some("f2ed8bfe3e9901cdefceb4e53cd3775d")),
                ("categories.json.tar.gz", None),
            ],
        ),
        "inat2019" => inat(
            "2019",
            [
                ("train_val2019.tar.gz", Some("c60a6e2962c9b8ccbd458d12c8582644")),
                ("train2019.json.tar.gz", Some("b06a6683537867c0d5c7a45f407a306d")),
                ("val2019.json.tar.gz", Some("5cc5509b0fe495f1c8c1362612448497")),
                ("categories.json.tar.gz", None),
            ],
        ),
        "inat2021" => inat(
            "2021",
            [
                ("train.tar.gz", Some("e0526d53c7f7b2e3167b2b43bb2690ed")),
                ("train.json.tar.gz", Some("38a7bb733f7a09214d44293460ec0021")),
                INAT2021_VAL[0],
                INAT2021_VAL[1],
            ],
        ),
        INAT2021_MINI => Published {
            folder: INAT2021_MINI.to_owned(),
            ..inat(
                "2021",
                [
                    ("train_mini.tar.gz", Some("db6ed8330e634445efc8fec83ae81442")),
                    ("train_mini.json.tar.gz", Some("395a35be3651d86dc3b0d365b8ea5f92")),
                    INAT2021_VAL[0],
                    INAT2021_VAL[1],
                ],
            )
        },
        "nabirds" => {
            let message = "it is given only to those who agree to its terms at https://dl.allaboutbirds.org/nabirds; \
                           fetch nabirds.tar.gz there, unpack it, and give the folder as nabirds:DIR";
            return Err(Error::Dataset { name: kind.to_owned(), message: message.to_owned() });
        }
        "pets" => {
            let (pets, mirror) = (format!("{VGG}/pets/data"), format!("{THOR}/pets"));
            set(
                "oxford_pets",
                &format!("{VGG}/pets/"),
                [
                    file(&pets, "images.tar.gz").or_from(&mirror).md5("5c4f3ee8e5d25df40f4fd59a7f44e54c"),
                    file(&pets, "annotations.tar.gz").or_from(&mirror).md5("95a8c909bbe2e81eed6a22bccdf3f68f"),
                ],
            )
        }
        _ => {
            return Err(Error::UnknownDataset { name: kind.to_owned(), known: KINDS.to_vec() });
        }
    };
    Ok(set)
}

/// A file's name and where it is.
struct Entry(String, Remote);

fn file(folder: &str, name: &str) -> Entry {
    file_at(&format!("{folder}/{name}"), name)
}

fn file_at(url: &str, name: &str) -> Entry {
    Entry(name.to_owned(), Remote { urls: vec![url.to_owned()], ..Remote::default() })
}

impl Entry {
    /// Another place that has it under the same name.
    fn or_from(mut self, folder: &str) -> Self {
        self.1.urls.push(format!("{folder}/{}", self.0));
        self
    }

    fn size(mut self, bytes: u64) -> Self {
        self.1.size = Some(bytes);
        self
    }

    fn sha256(mut self, hex: &str) -> Self {
        self.1.digest = Some(Digest::Sha256(hex.to_owned()));
        self
    }

    fn md5(mut self, hex: &str) -> Self {
        self.1.digest = Some(Digest::Md5(hex.to_owned()));
        self
    }
}

fn set<const N: usize>(folder: &str, page: &str, files: [Entry; N]) -> Published {
    let files = files.into_iter().map(|Entry(name, remote)| (name, remote)).collect();
    Published { folder: folder.to_owned(), inner: None, page: page.to_owned(), files }
}

impl Published {
    fn inner(self, folder: &str) -> Self {
        Self { inner: Some(folder.to_owned()), ..self }
    }
}

fn inat<const N: usize>(year: &str, files: [(&str, Option<&str>); N]) -> Published {
    let files = files.map(|(name, md5)| {
        let file = file(&format!("{INAT}/{year}"), name);
        match md5 {
            Some(md5) => file.md5(md5),
            None => file,
        }
    });
    set(&format!("inat{year}"), &format!("https://github.com/visipedia/inat_comp/tree/master/{year}"), files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use c2f_data::Spec;

    #[test]
    fn every_kind_has_addresses_or_says_where_to_ask() {
        for kind in KINDS {
            let set = match published(kind) {
                Ok(set) => set,
                Err(error) => {
                    assert!(
                        error.to_string().contains("https://") && matches!(error, Error::Dataset { .. }),
                        "{error}"
                    );
                    continue;
                }
            };
            assert!(set.page.starts_with("http"), "{kind}");
            assert_eq!(Path::new(&set.folder).components().count(), 1, "{kind}");
            for folder in ["/data/x", "/data/what?/x"] {
                let spec: Spec = spec(kind, Path::new(folder)).parse().unwrap();
                assert_eq!(spec.path.as_deref(), Some(Path::new(folder)), "{kind}");
                assert_eq!(spec.train.is_some(), kind == INAT2021_MINI);
            }
            for (name, remote) in &set.files {
                assert_eq!(Path::new(name).file_name(), Some(name.as_ref()), "{kind}");
                assert!(
                    remote.urls.iter().all(|url| url.starts_with("http") && url.parse::<ureq::http::Uri>().is_ok())
                );
                let digits = match &remote.digest {
                    Some(Digest::Sha256(hex)) => (hex, 64),
                    Some(Digest::Md5(hex)) => (hex, 32),
                    other => {
                        assert!(other.is_none() && name == "categories.json.tar.gz", "{kind} {name}");
                        continue;
                    }
                };
                assert_eq!(digits.0.len(), digits.1, "{kind} {name}");
                assert!(digits.0.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{kind} {name}");
            }
        }
    }

    #[test]
    fn other_kinds_are_told_what_there_is() {
        let error = published("cub2012").unwrap_err();
        assert!(matches!(error, Error::UnknownDataset { .. }) && error.to_string().contains("cub2011"), "{error}");
    }
}
