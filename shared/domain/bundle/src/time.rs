//! Points in time as the Kubernetes API takes them: RFC 3339, read like Go's `time.Parse` does.

/// Whether a text is a time. Of the forms of RFC 3339 only those with capitals are taken; an hour
/// of one digit and a comma before fractions of a second are forgiven, as in Go.
pub(crate) fn is_time(text: &str) -> bool {
    parse(text.as_bytes()).is_some()
}

fn parse(text: &[u8]) -> Option<()> {
    let (year, text) = number(text, 4)?;
    let (month, text) = number(sign(text, b'-')?, 2)?;
    let (day, text) = number(sign(text, b'-')?, 2)?;
    if !(1..=12).contains(&month) || day < 1 || day > days(year, month) {
        return None;
    }
    let text = sign(text, b'T')?;
    let (hour, text) = number(text, 2).or_else(|| number(text, 1))?;
    let (minute, text) = number(sign(text, b':')?, 2)?;
    let (second, text) = number(sign(text, b':')?, 2)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    match without_fraction(text) {
        b"Z" => Some(()),
        [b'+' | b'-', zone @ ..] => {
            let (hours, zone) = number(zone, 2)?;
            let (minutes, rest) = number(sign(zone, b':')?, 2)?;
            (hours <= 24 && minutes <= 60 && rest.is_empty()).then_some(())
        }
        _ => None,
    }
}

/// A number of this many digits, and what is behind it.
fn number(text: &[u8], digits: usize) -> Option<(u32, &[u8])> {
    let (found, rest) = text.split_at_checked(digits)?;
    let number = found.iter().try_fold(0, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(number * 10 + u32::from(digit))
    })?;
    Some((number, rest))
}

fn sign(text: &[u8], sign: u8) -> Option<&[u8]> {
    text.strip_prefix(&[sign])
}

fn without_fraction(text: &[u8]) -> &[u8] {
    match text {
        [b'.' | b',', fraction @ ..] if fraction.first().is_some_and(u8::is_ascii_digit) => {
            let end = fraction.iter().position(|found| !found.is_ascii_digit());
            fraction
                .get(end.unwrap_or(fraction.len())..)
                .unwrap_or_default()
        }
        _ => text,
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::is_time;

    #[test]
    fn times_have_a_date_a_time_of_day_and_a_zone() {
        for text in [
            "2024-05-01T10:00:00Z",
            "2024-05-01T10:00:00+02:00",
            "2024-05-01T10:00:00-11:30",
            "2024-05-01T10:00:00.123456789Z",
            "2024-05-01T10:00:00,5+00:00",
            "2024-05-01T9:00:00Z",
            "2024-02-29T23:59:59Z",
            "2000-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
        ] {
            assert!(is_time(text), "{text}");
        }
    }

    #[test]
    fn everything_else_is_none() {
        for text in [
            "",
            "yesterday",
            "null",
            "2024-05-01",
            "2024-05-01T10:00:00",
            "2024-05-01 10:00:00Z",
            "2024-05-01t10:00:00Z",
            "2024-05-01T10:00:00z",
            "2024-05-01T10:00Z",
            "2024-5-1T10:00:00Z",
            "2024-05-01T24:00:00Z",
            "2024-05-01T10:60:00Z",
            "2024-05-01T10:00:60Z",
            "2024-05-01T10:00:00.Z",
            "2024-05-01T10:00:00+0200",
            "2024-05-01T10:00:00+25:00",
            "2024-05-01T10:00:00Z ",
            "2024-05-01T10:00:00ZZ",
            "2023-02-29T10:00:00Z",
            "1900-02-29T10:00:00Z",
            "2024-13-01T10:00:00Z",
            "2024-04-31T10:00:00Z",
            "2024-00-01T10:00:00Z",
            "2024-05-00T10:00:00Z",
            "+024-05-01T10:00:00Z",
            "1714557600",
        ] {
            assert!(!is_time(text), "{text}");
        }
    }
}
