//! The pages of a Parquet file. What a page claims to be, unpacked, is checked before memory is asked for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// The most bytes of an unpacked page: as many as of a picture.
pub(super) const MAX_BYTES: u64 = 512 << 20;

/// A file of which pages of one compression are read.
pub(super) struct Pages {
    pub file: File,
    pub compression: Compression,
}

impl Length for Pages {
    fn len(&self) -> u64 {
        self.file.len()
    }
}

impl ChunkReader for Pages {
    type T = Header;

    /// The crate reads the headers of pages so, and nothing else.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(Header { file: self.file.get_read(start)?, is_checked: false })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<bytes::Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF("a page reaches beyond the end of the file".to_owned()));
        }
        let bytes = self.file.get_bytes(start, length)?;
        // The other compressions stop where the claimed size is reached.
        if matches!(self.compression, Compression::GZIP(_)) {
            check_gzip(&bytes, MAX_BYTES)?;
        }
        Ok(bytes)
    }
}

/// The header of a page, which is checked when it is read: the crate also asks for some that it doesn't read.
pub(super) struct Header {
    file: BufReader<File>,
    is_checked: bool,
}

impl Read for Header {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !self.is_checked {
            let size = claimed_size(self.file.fill_buf()?);
            let size = size.ok_or_else(|| io::Error::other("the header of a page is damaged"))?;
            if size > MAX_BYTES {
                return Err(io::Error::other(too_large(&format!("claims {size} bytes"))));
            }
            self.is_checked = true;
        }
        self.file.read(buffer)
    }
}

fn too_large(what: &str) -> ParquetError {
    ParquetError::General(format!("a page {what}, expected at most {} MiB", MAX_BYTES >> 20))
}

/// Unpacks a page into nothing. Before the packed part there may be what says which rows have a value.
fn check_gzip(page: &[u8], most: u64) -> Result<()> {
    let start = page.windows(3).position(|bytes| bytes == [0x1f, 0x8b, 8]).unwrap_or(page.len());
    let mut unpacked = MultiGzDecoder::new(&page[start..]).take(most + 1);
    if start < page.len() && io::copy(&mut unpacked, &mut io::sink())? > most {
        return Err(too_large("unpacks to more than it claims"));
    }
    Ok(())
}

/// The unpacked size that the header of a page gives: the second of its fields, which are all numbers at its beginning.
fn claimed_size(header: &[u8]) -> Option<u64> {
    /// The next field, a 32-bit number.
    const NUMBER: u8 = 0x15;
    let mut bytes = header.iter();
    let mut number = || {
        if *bytes.next()? != NUMBER {
            return None;
        }
        let mut zigzag = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = *bytes.next()?;
            zigzag |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return (zigzag & 1 == 0).then_some(zigzag >> 1);
            }
        }
        None
    };
    number()?;
    number()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression as Level;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn pages_that_claim_too_much_are_refused() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[0x15, 4, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0x15, 0]).unwrap();
        let pages = Pages { file, compression: Compression::UNCOMPRESSED };
        let message = |start| {
            let mut header = pages.get_read(start).unwrap();
            header.read_to_end(&mut Vec::new()).unwrap_err().to_string()
        };
        assert!(message(0).contains("claims 2147483647 bytes, expected at most 512 MiB"), "{}", message(0));
        assert!(message(1).contains("damaged"));
        assert!(pages.get_bytes(4, 1 << 40).unwrap_err().to_string().contains("beyond the end"));
    }

    #[test]
    fn gzip_is_unpacked_no_further_than_allowed() {
        let mut packed = GzEncoder::new(vec![0, 1], Level::fast());
        packed.write_all(&vec![0; 100_000]).unwrap();
        let packed = packed.finish().unwrap();
        assert!(check_gzip(&packed, 100_000).is_ok() && check_gzip(&[], 0).is_ok());
        assert!(check_gzip(&packed, 99_999).unwrap_err().to_string().contains("more than it claims"));
    }

    #[test]
    fn the_second_number_is_the_size() {
        assert_eq!(claimed_size(&[0x15, 0, 0x15, 0xac, 0x04, 0x15, 2]), Some(278));
        assert_eq!(claimed_size(&[0x15, 4, 0x15, 0xfe, 0xff, 0xff, 0xff, 0x0f]), Some(i32::MAX as u64));
        for damaged in [&[][..], &[0x15], &[0x15, 0, 0x16, 2], &[0x15, 0, 0x15, 1], &[0x15, 0, 0x15, 0xff, 0xff]] {
            assert_eq!(claimed_size(damaged), None, "{damaged:?}");
        }
    }
}
