//! The text of Office Open XML: of documents of Word and of presentations.

use super::markup::{Rules, append_text};
use crate::domain::document::failures::damaged;
use crate::domain::document::package::{Package, attribute, for_each_element};
use crate::domain::failure::Failure;

const WORD: Rules = Rules {
    text_in: &["t"],
    skip: &["Fallback", "del", "moveFrom", "binData"],
    line_after: &["p", "br", "cr", "tr"],
    tab_after: &["tc", "tab"],
    spaces: &[],
};

const SLIDE: Rules =
    Rules { text_in: &["t"], skip: &["Fallback"], line_after: &["p", "br", "tr"], tab_after: &["tc"], spaces: &[] };

/// The text of a document of Word: its body, then its notes and comments.
pub(in crate::domain::document) fn word_text(bytes: &[u8]) -> Result<String, Failure> {
    let mut package = Package::open(bytes)?;
    let main = parts_with_type(
        &mut package,
        &["wordprocessingml.document", "word.document", "wordprocessingml.template", "word.template"],
    )?;
    let notes = parts_with_type(
        &mut package,
        &["wordprocessingml.footnotes", "wordprocessingml.endnotes", "wordprocessingml.comments+"],
    )?;
    let mut text = String::new();
    for part in main.into_iter().chain(notes) {
        let xml = package.read_text(part)?;
        append_text(&mut text, &xml, &WORD)?;
    }
    Ok(text)
}

/// The text of a presentation, slide by slide, with the notes of each.
pub(in crate::domain::document) fn slides_text(bytes: &[u8]) -> Result<String, Failure> {
    let mut package = Package::open(bytes)?;
    let mut slides = parts_with_type(&mut package, &["presentationml.slide+"])?;
    slides.sort_by_key(|part| (number_of(&package.names[*part]), *part));
    let order = slide_order(&mut package)?;
    if !order.is_empty() {
        slides.sort_by_key(|part| order.iter().position(|own| own == part).unwrap_or(usize::MAX));
    }
    let notes = parts_with_type(&mut package, &["presentationml.notesSlide+"])?;
    let mut text = String::new();
    for (number, slide) in (1..).zip(slides) {
        text.push_str(&format!("\nSlide {number}\n"));
        let xml = package.read_text(slide)?;
        append_text(&mut text, &xml, &SLIDE)?;
        let of_slide = related(&mut package, slide)?;
        for note in of_slide.into_iter().map(|(_, part)| part).filter(|part| notes.contains(part)) {
            let xml = package.read_text(note)?;
            text.push_str("Notes:\n");
            append_text(&mut text, &xml, &SLIDE)?;
        }
    }
    Ok(text.trim_start().to_owned())
}

/// The slides in the order of the presentation.
fn slide_order(package: &mut Package<'_>) -> Result<Vec<usize>, Failure> {
    let mut order = Vec::new();
    let main = parts_with_type(
        package,
        &[
            "presentationml.presentation.main",
            "presentationml.slideshow.main",
            "presentationml.template.main",
            "powerpoint.presentation",
            "powerpoint.slideshow",
        ],
    )?;
    for main in main {
        let related = related(package, main)?;
        let xml = package.read_text(main)?;
        for_each_element(&xml, |element| {
            if element.local_name().as_ref() == "sldId" {
                // The attributes `id` and `r:id` have the same local name.
                let ids = element.attributes().flatten().filter(|found| found.key.local_name().as_ref() == "id");
                for id in ids {
                    order.extend(related.iter().find(|(name, _)| *name == *id.value).map(|(_, part)| *part));
                }
            }
        });
    }
    Ok(order)
}

/// The parts whose content type contains one of the texts, in the order of the texts.
fn parts_with_type(package: &mut Package<'_>, types: &[&str]) -> Result<Vec<usize>, Failure> {
    let list = package.find("[Content_Types].xml").ok_or_else(|| damaged("the Office file"))?;
    let xml = package.read_text(list)?;
    let mut found = Vec::new();
    for_each_element(&xml, |element| {
        let kind = attribute(element, "ContentType").unwrap_or_default();
        let name = attribute(element, "PartName").map(|name| name.replace('\\', "/"));
        if let Some(order) =
            types.iter().position(|wanted| kind.to_ascii_lowercase().contains(&wanted.to_ascii_lowercase()))
        {
            found.extend(name.and_then(|name| package.find(&name)).map(|part| (order, part)));
        }
    });
    found.sort_by_key(|(order, _)| *order);
    Ok(found.into_iter().map(|(_, part)| part).collect())
}

/// The parts to which a part has relationships, by the ids of the relationships.
fn related(package: &mut Package<'_>, part: usize) -> Result<Vec<(String, usize)>, Failure> {
    let name = package.names[part].clone();
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", &name));
    let Some(list) = package.find(&format!("{folder}/_rels/{file}.rels")) else { return Ok(Vec::new()) };
    let xml = package.read_text(list)?;
    let mut found = Vec::new();
    for_each_element(&xml, |element| {
        if let (Some(id), Some(target)) = (attribute(element, "Id"), attribute(element, "Target")) {
            found.extend(package.find(&resolve(folder, &target)).map(|part| (id, part)));
        }
    });
    Ok(found)
}

/// The name of a target that is relative to a folder of the package.
pub(super) fn resolve(folder: &str, target: &str) -> String {
    let target = target.replace('\\', "/");
    if let Some(absolute) = target.strip_prefix('/') {
        return absolute.to_owned();
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/') {
        match part {
            ".." => {
                parts.pop();
            }
            "" | "." => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The number at the end of a part's name, such as 12 of `slide12.xml`.
fn number_of(name: &str) -> usize {
    let digits: String = name.chars().filter(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(usize::MAX)
}
