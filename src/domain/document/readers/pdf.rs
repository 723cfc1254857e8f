//! A PDF: whether a model can read it, and its pages in pieces that fit a call.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use lopdf::{Dictionary, Document, LoadOptions, Object, ObjectId};

use crate::domain::document::failures::{damaged, encrypted, expands_too_far, too_large, unsupported};
use crate::domain::failure::{Failure, codes};
use crate::domain::limits::{
    CHUNKS_MAX, DOCUMENT_MAX_BYTES, PDF_OBJECTS_MAX, PDF_PAGES_PER_CALL, PDF_STREAM_MAX_BYTES, PDF_TREE_DEPTH_MAX,
};

/// A PDF for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::domain::document) struct Pdf {
    /// The complete file, or pieces of its pages in their order.
    pub pieces: Vec<Vec<u8>>,
    /// The number of pages, if it could be counted.
    pub pages: Option<u32>,
}

/// Reads a PDF, or its pages from the first to the last of `page_range`.
///
/// # Errors
/// The failure of a file that is encrypted, damaged or too large, or whose pictures no model
/// reads.
pub(in crate::domain::document) fn read_pdf(bytes: Vec<u8>, page_range: Option<[u32; 2]>) -> Result<Pdf, Failure> {
    if !has(&bytes, b"obj") {
        return Err(damaged("the PDF"));
    }
    let needs_key = has(&bytes, b"/Encrypt");
    let has_pages = |document: &Document| document.is_encrypted() || document.page_iter().next().is_some();
    let Some(document) = load(&bytes).filter(has_pages) else {
        if needs_key && names_encryption(&bytes) {
            return Err(encrypted());
        }
        // Bedrock may read a file that this library does not.
        return match bytes.len() <= DOCUMENT_MAX_BYTES && page_range.is_none() {
            true if has(&bytes, b"/Page") || has(&bytes, b"/ObjStm") => Ok(Pdf { pieces: vec![bytes], pages: None }),
            true => Err(damaged("the PDF")),
            false => Err(too_large("a PDF that cannot be cut", bytes.len(), DOCUMENT_MAX_BYTES)),
        };
    };
    if document.is_encrypted() {
        return Err(encrypted());
    }
    let pages: Vec<ObjectId> = document.page_iter().collect();
    if (has(&bytes, b"JPXDecode") || has(&bytes, b"JBIG2Decode")) && has_unread_pictures_alone(&document) {
        let remedy = "models do not read these pictures; print or save the document as a PDF with JPEG pictures";
        return Err(unsupported("a PDF that has only JPEG 2000 or JBIG2 pictures", remedy));
    }
    let count = u32::try_from(pages.len()).ok();
    let asked = select(&pages, page_range)?;
    let is_complete = asked.len() == pages.len();
    // The owner's password alone forbids changes: everybody may read the file.
    let was_encrypted = document.was_encrypted();
    if bytes.len() <= DOCUMENT_MAX_BYTES && pages.len() <= PDF_PAGES_PER_CALL && !was_encrypted && is_complete {
        return Ok(Pdf { pieces: vec![bytes], pages: count });
    }
    // The asked pages have about their part of the bytes.
    let by_size = (bytes.len() / pages.len() * asked.len()).div_ceil(DOCUMENT_MAX_BYTES / 10 * 9);
    drop(bytes);
    let groups = asked.len().div_ceil(PDF_PAGES_PER_CALL).max(by_size).clamp(1, asked.len());
    let mut pieces = Vec::new();
    for group in asked.chunks(asked.len().div_ceil(groups)) {
        cut(&document, group, &mut pieces)?;
    }
    if pieces.len() > CHUNKS_MAX {
        return Err(expands_too_far("chunks of pages", CHUNKS_MAX));
    }
    Ok(Pdf { pieces, pages: count })
}

/// The asked pages, as far as the document has them.
fn select(pages: &[ObjectId], page_range: Option<[u32; 2]>) -> Result<&[ObjectId], Failure> {
    let Some([first, last]) = page_range else { return Ok(pages) };
    let (first, last) = ((first as usize).max(1), (last as usize).min(pages.len()));
    match pages.get(first - 1..last) {
        Some(asked) if !asked.is_empty() => Ok(asked),
        _ => {
            let message = format!("`page_range` begins at page {first}, and the document has {} pages", pages.len());
            Err(Failure::new(codes::DOCUMENT_EMPTY, message))
        }
    }
}

/// Loads a PDF; `None` if it is too damaged, or too complex.
fn load(bytes: &[u8]) -> Option<Document> {
    if declared_objects(bytes) > PDF_OBJECTS_MAX {
        return None;
    }
    let options = LoadOptions { max_decompressed_size: Some(PDF_STREAM_MAX_BYTES), ..LoadOptions::default() };
    // A file that makes the library panic is damaged.
    catch_unwind(AssertUnwindSafe(|| Document::load_mem_with_options(bytes, options).ok())).ok().flatten()
}

/// The objects that all object streams of a file declare. They are expanded while the file
/// is loaded.
fn declared_objects(bytes: &[u8]) -> usize {
    let mut total = 0_usize;
    let mut at = 0;
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.windows(7).position(|window| window == b"/ObjStm")) {
        at += found + 7;
        let around = &bytes[at.saturating_sub(200)..bytes.len().min(at + 200)];
        let counts = around
            .windows(3)
            .enumerate()
            .filter(|(_, window)| window[..2] == *b"/N" && !window[2].is_ascii_alphabetic());
        let largest = counts.map(|(place, _)| {
            let digits = around[place + 2..].trim_ascii_start().iter().take(9).take_while(|byte| byte.is_ascii_digit());
            digits.fold(0_usize, |number, digit| number * 10 + usize::from(digit - b'0'))
        });
        total = total.saturating_add(largest.max().unwrap_or(0));
    }
    total
}

/// Whether the trailer of an unreadable file names its encryption, such as `/Encrypt 12 0 R`.
///
/// ISO 32000-1, 7.6.1.
fn names_encryption(bytes: &[u8]) -> bool {
    const KEY: &[u8] = b"/Encrypt";
    let mut rest = bytes;
    while let Some(at) = rest.windows(KEY.len()).position(|window| window == KEY) {
        rest = &rest[at + KEY.len()..];
        let after = rest.trim_ascii_start();
        let mut words = after.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let mut is_number = || words.next().is_some_and(|word| word.len() <= 10 && word.iter().all(u8::is_ascii_digit));
        let is_reference = after.len() < rest.len()
            && is_number()
            && is_number()
            && words.next().is_some_and(|word| word.starts_with(b"R"));
        if after.starts_with(b"<<") || is_reference {
            return true;
        }
    }
    false
}

/// Whether a document has no fonts, and no other pictures than JPEG 2000 and JBIG2.
fn has_unread_pictures_alone(document: &Document) -> bool {
    let mut pictures = 0;
    for object in document.objects.values() {
        match object {
            Object::Dictionary(dictionary) if dictionary.has_type(b"Font") => return false,
            Object::Stream(stream) if is_name(stream.dict.get(b"Subtype"), b"Image") => {
                let filters = stream.filters().unwrap_or_default();
                if !filters.iter().any(|filter| [&b"JPXDecode"[..], b"JBIG2Decode"].contains(filter)) {
                    return false;
                }
                pictures += 1;
            }
            _ => {}
        }
    }
    pictures > 0
}

fn is_name(object: lopdf::Result<&Object>, name: &[u8]) -> bool {
    object.and_then(Object::as_name).is_ok_and(|found| found == name)
}

/// Cuts pages out of a document. Pages that are too large together are cut in halves.
fn cut(document: &Document, pages: &[ObjectId], pieces: &mut Vec<Vec<u8>>) -> Result<(), Failure> {
    let piece = with_pages(document, pages).ok_or_else(|| damaged("the PDF"))?;
    if piece.len() <= DOCUMENT_MAX_BYTES {
        pieces.push(piece);
        return if pieces.len() > CHUNKS_MAX { Err(expands_too_far("chunks of pages", CHUNKS_MAX)) } else { Ok(()) };
    }
    if pages.len() == 1 {
        return Err(too_large("a page of a PDF", piece.len(), DOCUMENT_MAX_BYTES));
    }
    drop(piece);
    let (first, second) = pages.split_at(pages.len() / 2);
    cut(document, first, pieces)?;
    cut(document, second, pieces)
}

/// A new file with these pages and everything that they use.
fn with_pages(document: &Document, pages: &[ObjectId]) -> Option<Vec<u8>> {
    let mut new = Document::with_version("1.7");
    new.max_id = document.max_id;
    let root = new.new_object_id();
    let mut waiting = Vec::new();
    for page in pages {
        let mut dictionary = document.get_dictionary(*page).ok()?.clone();
        inherit(document, &mut dictionary);
        dictionary.set("Parent", Object::Reference(root));
        // These may refer to other pages.
        for name in [&b"Annots"[..], b"B", b"StructParents", b"Metadata", b"Thumb"] {
            dictionary.remove(name);
        }
        let mut object = Object::Dictionary(dictionary);
        collect(&mut object, &mut waiting, 0);
        new.objects.insert(*page, object);
    }
    let used = used_names(document, pages);
    while let Some(id) = waiting.pop() {
        if id == root || new.objects.contains_key(&id) {
            continue;
        }
        let mut object = match document.objects.get(&id) {
            Some(Object::Dictionary(found)) if is_structure(found) => Object::Null,
            Some(found) => found.clone(),
            None => Object::Null,
        };
        if let Some(used) = &used {
            keep_used(document, &mut object, used);
        }
        collect(&mut object, &mut waiting, 0);
        new.objects.insert(id, object);
    }
    let mut tree = Dictionary::new();
    tree.set("Type", Object::Name(b"Pages".to_vec()));
    tree.set("Count", Object::Integer(i64::try_from(pages.len()).ok()?));
    tree.set("Kids", Object::Array(pages.iter().map(|page| Object::Reference(*page)).collect()));
    new.objects.insert(root, Object::Dictionary(tree));
    let mut catalog = Dictionary::new();
    catalog.set("Type", Object::Name(b"Catalog".to_vec()));
    catalog.set("Pages", Object::Reference(root));
    let catalog = new.add_object(catalog);
    new.trailer.set("Root", Object::Reference(catalog));
    let mut bytes = Vec::new();
    new.save_to(&mut bytes).ok()?;
    Some(bytes)
}

/// Whether a dictionary belongs to the structure of the file, and not to a page.
fn is_structure(dictionary: &Dictionary) -> bool {
    [&b"Page"[..], b"Pages", b"Catalog", b"StructTreeRoot", b"StructElem", b"Outlines"]
        .iter()
        .any(|kind| dictionary.has_type(kind))
}

/// Copies the attributes that a page inherits.
fn inherit(document: &Document, page: &mut Dictionary) {
    let mut parent = page.get(b"Parent").ok().cloned();
    for _ in 0..PDF_TREE_DEPTH_MAX {
        let Some(found) = parent.and_then(|parent| document.get_dictionary(parent.as_reference().ok()?).ok()) else {
            return;
        };
        for name in [&b"Resources"[..], b"MediaBox", b"CropBox", b"Rotate"] {
            if let (false, Ok(value)) = (page.has(name), found.get(name)) {
                page.set(name, value.clone());
            }
        }
        parent = found.get(b"Parent").ok().cloned();
    }
}

/// The words of the content of pages: among them are the names of the objects that the pages
/// show. `None` if a content is too large to be read.
fn used_names(document: &Document, pages: &[ObjectId]) -> Option<HashMap<Vec<u8>, ()>> {
    let mut used = HashMap::new();
    for page in pages {
        let content = document.get_page_content_with_limit(*page, PDF_STREAM_MAX_BYTES).ok()?;
        for word in content.split(|byte| byte.is_ascii_whitespace() || b"[]<>()".contains(byte)) {
            for name in word.split(|byte| *byte == b'/').skip(1) {
                used.insert(name.to_vec(), ());
            }
        }
    }
    Some(used)
}

/// Removes pictures that no page shows from resources that several pages share.
fn keep_used(document: &Document, object: &mut Object, used: &HashMap<Vec<u8>, ()>) {
    let Object::Dictionary(dictionary) = object else { return };
    if dictionary.has(b"Type") {
        return;
    }
    let is_picture = |value: &Object| {
        let found = value.as_reference().ok().and_then(|id| document.get_object(id).ok());
        found
            .and_then(|found| found.as_stream().ok())
            .is_some_and(|stream| is_name(stream.dict.get(b"Subtype"), b"Image"))
    };
    let keep = |entries: &Dictionary| -> Vec<Vec<u8>> {
        entries
            .iter()
            .filter(|(name, value)| !used.contains_key(*name) && is_picture(value))
            .map(|(name, _)| name.clone())
            .collect()
    };
    for name in keep(dictionary) {
        dictionary.remove(&name);
    }
    if let Ok(Object::Dictionary(pictures)) = dictionary.get_mut(b"XObject") {
        for name in keep(pictures) {
            pictures.remove(&name);
        }
    }
}

/// Adds the references in an object to `waiting`.
fn collect(object: &mut Object, waiting: &mut Vec<ObjectId>, depth: usize) {
    if depth > PDF_TREE_DEPTH_MAX {
        return;
    }
    match object {
        Object::Reference(id) => waiting.push(*id),
        Object::Array(objects) => objects.iter_mut().for_each(|object| collect(object, waiting, depth + 1)),
        Object::Dictionary(dictionary) => {
            dictionary
                .iter_mut()
                .filter(|(name, _)| *name != b"Parent")
                .for_each(|(_, object)| collect(object, waiting, depth + 1));
        }
        Object::Stream(stream) => {
            stream.dict.iter_mut().for_each(|(_, object)| collect(object, waiting, depth + 1));
        }
        _ => {}
    }
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests;
