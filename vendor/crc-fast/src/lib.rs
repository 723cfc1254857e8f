//! The part of crc-fast's API that `aws-smithy-checksums` uses, implemented with the
//! crate `crc`.
//!
//! README.md explains why this crate replaces crc-fast. If `aws-smithy-checksums` begins
//! to use more of the API, the build fails.

#![forbid(unsafe_code)]

use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, CRC_64_NVME, Crc};

static ISO_HDLC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);
static ISCSI: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
static NVME: Crc<u64> = Crc::<u64>::new(&CRC_64_NVME);

/// A checksum algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrcAlgorithm {
    /// S3's CRC32.
    Crc32IsoHdlc,
    /// S3's CRC32C.
    Crc32Iscsi,
    /// S3's CRC64NVME.
    Crc64Nvme,
}

/// Computes a checksum of bytes that arrive in pieces.
#[derive(Clone)]
pub struct Digest(State);

#[derive(Clone)]
enum State {
    Bits32(crc::Digest<'static, u32>),
    Bits64(crc::Digest<'static, u64>),
}

impl std::fmt::Debug for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Digest")
    }
}

impl Digest {
    /// A digest of no bytes.
    pub fn new(algorithm: CrcAlgorithm) -> Self {
        Self(match algorithm {
            CrcAlgorithm::Crc32IsoHdlc => State::Bits32(ISO_HDLC.digest()),
            CrcAlgorithm::Crc32Iscsi => State::Bits32(ISCSI.digest()),
            CrcAlgorithm::Crc64Nvme => State::Bits64(NVME.digest()),
        })
    }

    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Bits32(digest) => digest.update(bytes),
            State::Bits64(digest) => digest.update(bytes),
        }
    }

    /// The checksum of the bytes so far. A checksum of 32 bits is in the lower half.
    pub fn finalize(&self) -> u64 {
        match &self.0 {
            State::Bits32(digest) => u64::from(digest.clone().finalize()),
            State::Bits64(digest) => digest.clone().finalize(),
        }
    }
}

/// Computes the checksum of `bytes`.
pub fn checksum(algorithm: CrcAlgorithm, bytes: &[u8]) -> u64 {
    let mut digest = Digest::new(algorithm);
    digest.update(bytes);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The catalogue of CRC algorithms lists the checksum of "123456789" for each.
    ///
    /// <https://reveng.sourceforge.io/crc-catalogue/all.htm>
    #[test]
    fn checksums_match_the_check_values_of_the_catalogue() {
        for (algorithm, expected) in [
            (CrcAlgorithm::Crc32IsoHdlc, 0xcbf4_3926),
            (CrcAlgorithm::Crc32Iscsi, 0xe306_9283),
            (CrcAlgorithm::Crc64Nvme, 0xae8b_1486_0a79_9888),
        ] {
            assert_eq!(checksum(algorithm, b"123456789"), expected, "{algorithm:?}");
            let mut digest = Digest::new(algorithm);
            digest.update(b"1234");
            let _ = digest.finalize();
            digest.update(b"56789");
            assert_eq!(digest.finalize(), expected, "{algorithm:?} in pieces");
        }
    }
}
