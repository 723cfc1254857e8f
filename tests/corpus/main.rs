//! A corpus of files of many kinds, each with the ending that it must have: its words, its
//! format, its children or its failure. The files are made here, with a seed.

mod containers;
mod hostile;
mod makers;
mod office;
mod texts;

use std::panic::catch_unwind;
use std::time::{Duration, Instant};

use docket::domain::document::Content;
use docket::domain::document::readable::readable_text;
use docket::domain::document::reading::{Reading, read};

use self::makers::{Ending, Sample};

/// Files of each kind.
const FILES_OF_A_KIND: u64 = 6;
/// Longest reading of a file, on a slow machine and without optimisation.
const TIME: Duration = Duration::from_secs(60);
/// Longest run of base64 characters in a text for a model.
const RUN_MAX: usize = 200;

/// The longest run of characters that words do not have.
fn longest_run(text: &str) -> usize {
    let is_data = |c: char| c.is_ascii_alphanumeric() || "+/=".contains(c);
    text.split(|c| !is_data(c)).map(str::len).max().unwrap_or(0)
}

fn check_text(name: &str, text: &str, words: &[String], replaced: usize) {
    for word in words {
        assert!(text.contains(word), "{name}: {word:?} is not in {:?}", text.chars().take(400).collect::<String>());
    }
    assert_eq!(text.matches('\u{fffd}').count(), replaced, "{name}: silent damage");
    assert!(longest_run(text) < RUN_MAX, "{name}: encoded data in a text for the model");
}

fn check(kind: &str, seed: u64, sample: Sample) {
    let Sample { name, bytes, ending } = sample;
    let label = format!("{kind} {seed} ({name})");
    let size = bytes.len();
    let started = Instant::now();
    let found = read(Some(&name), bytes);
    assert!(started.elapsed() < TIME, "{label} took {:?}", started.elapsed());
    match (ending, found) {
        (Ending::Fails(code), Err(failure)) => assert_eq!(failure.code, code, "{label}: {}", failure.message),
        (Ending::Text { words, encoding, replaced }, Ok(Reading { parts, facts, .. })) => {
            let [document] = &parts[..] else { panic!("{label}: {} parts", parts.len()) };
            let Content::Text { text, .. } = document.content() else { panic!("{label}: {document:?}") };
            check_text(&label, text, &words, replaced);
            assert_eq!(facts.replaced_characters.unwrap_or(0), replaced as u64, "{label}");
            assert_eq!(document.size_bytes(), size, "{label}");
            if let Some((encoding, is_guess)) = encoding {
                let found = facts.encoding.unwrap_or_default();
                assert_eq!((found.as_str(), facts.encoding_guessed), (encoding, is_guess), "{label}");
            }
        }
        (Ending::File { format, words }, Ok(Reading { parts, .. })) => {
            let [document] = &parts[..] else { panic!("{label}: {} parts", parts.len()) };
            assert_eq!(document.content().format_name(), format, "{label}");
            if !words.is_empty() {
                check_text(&label, &readable_text(&parts).expect("readable").text, &words, 0);
            }
        }
        (Ending::Parts { format, count, pages }, Ok(Reading { parts, facts, .. })) => {
            assert!(count.contains(&parts.len()), "{label}: {} parts", parts.len());
            assert!(parts.iter().all(|part| part.content().format_name() == format), "{label}");
            assert_eq!(facts.pages, Some(pages), "{label}");
        }
        (Ending::Children { words, names }, Ok(Reading { parts, children, .. })) => {
            match &parts[..] {
                [] => assert!(words.is_empty(), "{label}"),
                [document] => {
                    let Content::Text { text, .. } = document.content() else { panic!("{label}: {document:?}") };
                    check_text(&label, text, &words, 0);
                }
                _ => panic!("{label}: {} parts", parts.len()),
            }
            let found: Vec<String> =
                (0..children.len()).map(|n| children.read(n).expect("expanded").expect("a child").0).collect();
            assert_eq!(found, names, "{label}");
        }
        (_, Ok(found)) => panic!("{label}: unexpected {found:?}"),
        (_, Err(failure)) => panic!("{label}: {failure:?}"),
    }
}

#[test]
fn every_file_of_the_corpus_has_its_ending() {
    let kinds = [texts::KINDS, office::KINDS, containers::KINDS, hostile::KINDS].concat();
    let seed: u64 = std::env::var("CORPUS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    println!("CORPUS_SEED={seed}");
    let mut files = 0;
    let mut wrong = Vec::new();
    for (kind, make) in &kinds {
        for number in 0..FILES_OF_A_KIND {
            let seed = seed * 1_000 + number;
            let checked = catch_unwind(|| check(kind, seed, make(&mut fastrand::Rng::with_seed(seed))));
            wrong.extend(checked.err().map(|_| format!("{kind} {seed}")));
            files += 1;
        }
    }
    println!("{files} files of {} kinds", kinds.len());
    assert!(wrong.is_empty(), "{} of {files} files have another ending: {wrong:?}", wrong.len());
    assert!(kinds.len() >= 40 && files >= 300, "{files} files of {} kinds", kinds.len());
}

/// The ending of a file in one word, as a manifest of other files names it.
fn describe(found: Result<Reading, docket::domain::failure::Failure>) -> String {
    match found {
        Err(failure) => failure.code,
        Ok(Reading { parts, children, .. }) => match (parts.first(), children.len()) {
            (None, count) => format!("{count} children"),
            (Some(part), 0) => part.content().format_name(),
            (Some(part), count) => format!("{} and {count} children", part.content().format_name()),
        },
    }
}

/// Files of others, which are not in the repository: `CORPUS_MANIFEST` names a file with lines
/// of a path, a tab, the allowed endings with `|` between them, and optionally a tab and words
/// of the text.
#[test]
fn every_file_of_a_manifest_has_its_ending() {
    let Ok(manifest) = std::env::var("CORPUS_MANIFEST") else { return };
    let lines = std::fs::read_to_string(&manifest).expect("CORPUS_MANIFEST names a file");
    let mut wrong = Vec::new();
    for line in lines.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [path, ending, words @ ..] = &fields[..] else { panic!("a path, a tab and an ending: {line}") };
        let found = read(Some(path), std::fs::read(path).expect("a file of the manifest"));
        let is_guess = found.as_ref().is_ok_and(|found| found.facts.encoding_guessed);
        let text = found.as_ref().ok().and_then(|found| readable_text(&found.parts)).map(|found| found.text);
        let text = text.unwrap_or_default();
        let found = describe(found);
        // A guess may be wrong, and the job says that it is a guess.
        let has_words = is_guess || words.iter().all(|words| text.contains(words));
        if !ending.split('|').any(|ending| ending == found) || longest_run(&text) >= RUN_MAX || !has_words {
            wrong.push(format!("{path}: {found}, not {ending}; {:?}", text.chars().take(100).collect::<String>()));
        }
    }
    println!("{} files", lines.lines().count());
    assert!(wrong.is_empty(), "{} files have another ending:\n{}", wrong.len(), wrong.join("\n"));
}
