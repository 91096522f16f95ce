//! Checksums as they are published.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::Path;

use sha2::Digest as _;

/// A checksum in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Digest {
    /// SHA-256 of the content.
    Sha256(String),
    /// SHA-1 of a blob as git computes it: the content's length goes before the content.
    GitSha1(String),
    /// MD5 of the content. It finds accidents, not forgeries; many data sets have nothing else.
    Md5(String),
}

impl Digest {
    /// SHA-256 of a file.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn sha256(path: &Path) -> io::Result<Self> {
        Ok(Self::Sha256(hash(sha2::Sha256::new(), path)?))
    }

    /// The digest of the same kind of a file, to be compared with this one.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn of_same_kind(&self, path: &Path) -> io::Result<Self> {
        Ok(match self {
            Self::Sha256(_) => Self::sha256(path)?,
            Self::Md5(_) => Self::Md5(hash(md5::Md5::new(), path)?),
            Self::GitSha1(_) => {
                let header = format!("blob {}\0", path.metadata()?.len());
                Self::GitSha1(hash(sha1::Sha1::new_with_prefix(header), path)?)
            }
        })
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(hex) => write!(f, "SHA-256 {hex}"),
            Self::GitSha1(hex) => write!(f, "git SHA-1 {hex}"),
            Self::Md5(hex) => write!(f, "MD5 {hex}"),
        }
    }
}

fn hash<H: sha2::Digest + io::Write>(mut hasher: H, path: &Path) -> io::Result<String>
where
    sha2::digest::Output<H>: fmt::LowerHex,
{
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(format!("{:x}", hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_sums_of_a_short_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        // FIPS 180-2 and RFC 1321; the last is `printf abc | git hash-object --stdin`.
        let sums = [
            Digest::Sha256("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned()),
            Digest::Md5("900150983cd24fb0d6963f7d28e17f72".to_owned()),
            Digest::GitSha1("f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f".to_owned()),
        ];
        for sum in sums {
            assert_eq!(sum.of_same_kind(&path).unwrap(), sum);
        }
    }
}
