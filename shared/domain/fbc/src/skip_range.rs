//! Ranges of versions in `skipRange`, as far as whether they are some (newest-opm §4 "Skip ranges").
//! What the library of the reference takes is wider and narrower than it looks; the rules are kept
//! as they are found.

use iib_catalog::Version;

/// Says what is wrong with a range, if anything is.
pub(crate) fn fault(range: &str) -> Option<String> {
    check(range).err()
}

fn check(range: &str) -> Result<(), String> {
    const OR: &str = "||";
    let words = words(range);
    if words.first().is_some_and(|word| word == OR) {
        return Err("First element in range is '||'".to_owned());
    }
    // A range without a word counts as one that ends like that.
    if words.last().is_none_or(|word| word == OR) {
        return Err("Last element in range is '||'".to_owned());
    }
    let comparisons = words.iter().filter(|word| *word != OR);
    let expanded: Result<Vec<_>, _> = comparisons.map(|word| without_wildcard(word)).collect();
    for comparison in expanded?.iter().flatten() {
        check_comparison(comparison)?;
    }
    Ok(())
}

/// The words between spaces. One behind an operator's sign separates nothing and goes; what is no
/// longer than one character, such spaces counted, goes, too.
fn words(range: &str) -> Vec<String> {
    let mut words = vec![(String::new(), 0)];
    let mut last = None;
    for sign in range.chars() {
        let separates = sign == ' ' && !matches!(last, Some('<' | '>' | '='));
        match words.last_mut() {
            Some((word, length)) if !separates => {
                *length += sign.len_utf8();
                if sign != ' ' {
                    word.push(sign);
                    last = Some(sign);
                }
            }
            _ => words.push((String::new(), 0)),
        }
    }
    words.retain(|(_, length)| *length > 1);
    words.into_iter().map(|(word, _)| word).collect()
}

/// The operator and the version behind it, which begins with the first digit.
fn parts(comparison: &str) -> Result<(&str, &str), String> {
    let begin = comparison.find(char::is_numeric);
    let parts = begin.and_then(|begin| comparison.split_at_checked(begin));
    let (operator, version) =
        parts.ok_or_else(|| format!("Could not get version from string: {comparison:?}"))?;
    Ok((operator.trim(), version))
}

/// A comparison without wildcards: one that has an `x` anywhere becomes one or two others, which
/// need not be any good.
fn without_wildcard(word: &str) -> Result<Vec<String>, String> {
    if !word.contains('x') {
        return Ok(vec![word.to_owned()]);
    }
    let (operator, version) = parts(word)?;
    let lowest = lowest(version);
    let above = || above(version, &lowest).unwrap_or_default();
    Ok(match operator {
        ">" => vec![format!(">={}", above())],
        ">=" | "<" => vec![format!("{operator}{lowest}")],
        "<=" => vec![format!("<{}", above())],
        "" | "=" | "==" => vec![format!(">={lowest}"), format!("<{}", above())],
        "!" | "!=" => vec![format!("<{lowest}"), format!(">={}", above())],
        // Before a wildcard an operator that is none is passed over.
        _ => vec![lowest],
    })
}

/// The lowest version that a wildcard stands for: `1.x.x` and `1.x` begin with `1.0.0`.
fn lowest(version: &str) -> String {
    let version = version.replacen(".x.x", ".x", 1).replacen(".x", ".0", 1);
    match version.split('.').count() {
        2 => format!("{version}.0"),
        _ => version,
    }
}

/// The lowest version above all that a wildcard stands for. `None` where the last part is no
/// wildcard, or there are more than three.
fn above(version: &str, lowest: &str) -> Option<String> {
    let wildcard = version.split('.').next_back() == Some("x");
    let raised = match version.split('.').count() {
        2 if wildcard => 0,
        3 if wildcard => 1,
        _ => return None,
    };
    let mut parts: Vec<String> = lowest.split('.').map(str::to_owned).collect();
    let part = parts.get_mut(raised)?;
    let number: i64 = part.parse().ok()?;
    *part = number.checked_add(1)?.to_string();
    Some(parts.join("."))
}

fn check_comparison(comparison: &str) -> Result<(), String> {
    let (operator, version) = parts(comparison)?;
    let fault = match operator {
        "" | "=" | "==" | "!" | "!=" | "<" | "<=" | ">" | ">=" => match Version::parse(version) {
            Ok(_) => return Ok(()),
            Err(fault) => format!("Could not parse version {version:?} in {comparison:?}: {fault}"),
        },
        _ => format!("Could not parse comparator {operator:?} in {comparison:?}"),
    };
    Err(format!("Could not parse Range {comparison:?}: {fault}"))
}

#[cfg(test)]
mod tests {
    use super::{fault, words};

    #[test]
    fn ranges_are_taken() {
        for range in [
            "1.0.0",
            "=1.0.0",
            "==1.0.0",
            ">=1.0.0 <2.0.0-0",
            ">= 1.0.0 <  2.0.0",
            "> =1.0.0",
            "!1.0.0 !=1.1.0",
            "<1.0.0 || >2.0.0 || =1.5.0",
            "  1.0.0  ",
            "1.0.0 x",
            "1.x",
            "1.x.x",
            "1.2.x",
            "^1.2.x",
            "~>1.x",
            ">1.2.x <=2.x",
            "!1.2.x",
            "<1.0.0-fix",
            ">=1.0.0-fix",
        ] {
            assert_eq!(fault(range), None, "{range}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for (range, words) in [
            (" ", "Last element"),
            ("x", "Last element"),
            ("|| 1.0.0", "First element"),
            ("1.0.0 ||", "Last element"),
            (
                "everything",
                "Could not get version from string: \"everything\"",
            ),
            (">x.y", "Could not get version from string: \">x.y\""),
            ("1.0.0 || || no", "Could not get version"),
            ("^1.0.0", "Could not parse comparator \"^\" in \"^1.0.0\""),
            ("~1.0.0", "Could not parse comparator"),
            ("<v1.0.0", "Could not parse comparator \"<v\""),
            (
                "<1.0",
                "Could not parse version \"1.0\" in \"<1.0\": No Major.Minor.Patch",
            ),
            (
                ">=1.0.0, <2.0.0",
                "Invalid character(s) found in patch number \"0,\"",
            ),
            ("<=1.0.0,", "Could not parse Range"),
            ("1.0.0 > ", "Could not get version from string: \">\""),
            ("1.0.0 - 2.0.0-fix", "Could not get version"),
            ("1.0.0-fix", "Could not get version from string: \"<\""),
            (">1.0.0-fix", "Could not get version"),
            ("1.2.3.x", "Could not parse version"),
            ("1.a.x", "Could not parse version"),
        ] {
            let said = fault(range).unwrap_or_default();
            assert!(said.contains(words), "{range}: {said}");
        }
    }

    #[test]
    fn spaces_separate_words() {
        assert_eq!(words(">= 1 <2  3 || a 45"), [">=1", "<2", "||", "45"]);
    }
}
