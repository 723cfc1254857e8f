//! The pages of a TIFF as PNG images.

use std::io::{Cursor, Write};

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};
use tiff::ColorType;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use crate::domain::document::failures::{damaged, expands_too_far, too_large, unsupported};
use crate::domain::failure::Failure;
use crate::domain::limits::{CHUNKS_MAX, IMAGE_MAX_BYTES, IMAGE_MAX_PIXELS, TIFF_PAGE_MAX_BYTES};

/// The pages of a TIFF, in their order.
///
/// # Errors
/// The failure of a damaged file, of one with more than [`CHUNKS_MAX`] pages, and of a page
/// that is too large or has colours that PNG does not have.
pub(in crate::domain::document) fn pages(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Failure> {
    let broken = || damaged("the TIFF image");
    let mut limits = Limits::default();
    limits.decoding_buffer_size = TIFF_PAGE_MAX_BYTES;
    limits.intermediate_buffer_size = TIFF_PAGE_MAX_BYTES;
    let mut decoder = Decoder::new(Cursor::new(bytes)).map_err(|_| broken())?.with_limits(limits);
    let mut pages = Vec::new();
    loop {
        pages.push(page(&mut decoder)?);
        if !decoder.more_images() {
            return Ok(pages);
        }
        if pages.len() == CHUNKS_MAX {
            return Err(expands_too_far("pages of an image", CHUNKS_MAX));
        }
        decoder.next_image().map_err(|_| broken())?;
    }
}

fn page(decoder: &mut Decoder<Cursor<&[u8]>>) -> Result<Vec<u8>, Failure> {
    let broken = || damaged("the TIFF image");
    let (width, height) = decoder.dimensions().map_err(|_| broken())?;
    if width == 0 || height == 0 {
        return Err(broken());
    }
    if width > IMAGE_MAX_PIXELS || height > IMAGE_MAX_PIXELS {
        return Err(expands_too_far("pixels in each direction", IMAGE_MAX_PIXELS as usize));
    }
    let colors = decoder.colortype().map_err(|_| broken())?;
    let pixels = decoder.read_image().map_err(|_| broken())?;
    let samples = match pixels {
        DecodingResult::U8(samples) => samples,
        DecodingResult::U16(samples) => samples.into_iter().map(|sample| (sample >> 8) as u8).collect(),
        _ => return Err(unsupported("a TIFF image with these numbers", "save it as JPEG or PNG")),
    };
    let (color, depth, rows) = match colors {
        ColorType::Gray(depth @ (1 | 2 | 4 | 8)) => (0, depth, samples),
        ColorType::Gray(16) => (0, 8, samples),
        ColorType::GrayA(8 | 16) => (4, 8, samples),
        ColorType::RGB(8 | 16) => (2, 8, samples),
        ColorType::RGBA(8 | 16) => (6, 8, samples),
        ColorType::CMYK(8 | 16) => (2, 8, samples.chunks_exact(4).flat_map(to_rgb).collect()),
        _ => return Err(unsupported("a TIFF image with these colours", "save it as JPEG or PNG")),
    };
    let channels = [1, 0, 3, 0, 2, 0, 4][color as usize];
    let stride = (width as usize * channels * usize::from(depth)).div_ceil(8);
    if rows.len() < stride * height as usize {
        return Err(broken());
    }
    let png = encode_png(width, height, depth, color, stride, &rows).ok_or_else(broken)?;
    if png.len() > IMAGE_MAX_BYTES {
        return Err(too_large("a page of an image, as PNG,", png.len(), IMAGE_MAX_BYTES));
    }
    Ok(png)
}

fn to_rgb(cmyk: &[u8]) -> [u8; 3] {
    let light = 255 - u16::from(cmyk[3]);
    [0, 1, 2].map(|channel| ((255 - u16::from(cmyk[channel])) * light / 255) as u8)
}

/// Writes a PNG. The crates for it bring a second compressor, and this takes none.
///
/// <https://www.w3.org/TR/png-3/#5DataRep>
fn encode_png(width: u32, height: u32, depth: u8, color: u8, stride: usize, rows: &[u8]) -> Option<Vec<u8>> {
    let mut data = ZlibEncoder::new(Vec::new(), Compression::fast());
    let mut filtered = Vec::with_capacity(stride + 1);
    for row in rows.chunks_exact(stride).take(height as usize) {
        filtered.clear();
        if depth == 8 {
            // The difference to the pixel on the left is small in most pictures.
            let channels = stride / width as usize;
            filtered.push(1);
            filtered.extend(row.iter().enumerate().map(|(at, byte)| match at.checked_sub(channels) {
                Some(left) => byte.wrapping_sub(row[left]),
                None => *byte,
            }));
        } else {
            filtered.push(0);
            filtered.extend_from_slice(row);
        }
        data.write_all(&filtered).ok()?;
    }
    let data = data.finish().ok()?;
    let mut header = Vec::from(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([depth, color, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, content) in [(b"IHDR", &header), (b"IDAT", &data), (b"IEND", &Vec::new())] {
        png.extend(u32::try_from(content.len()).ok()?.to_be_bytes());
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(content);
        png.extend(kind);
        png.extend(content);
        png.extend(crc.sum().to_be_bytes());
    }
    Some(png)
}
