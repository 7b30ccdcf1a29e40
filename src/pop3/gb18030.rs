//! Text of a server in GB 18030, a superset of GBK and GB 2312: Coremail, which many providers in China run, sends it.
//! Only for display: nothing is decided by it.

use encoding_rs::GB18030;

/// What refusals mention. Other encodings have octets that could be read as Chinese, but hardly as one of these words.
const SPOKEN_OF: [&str; 24] = [
    "密码", "口令", "帐号", "账号", "帐户", "账户", "用户", "登录", "登陆", "邮箱", "邮件", "信箱", "授权", "验证",
    "认证", "错误", "失败", "系统", "服务", "协议", "连接", "频繁", "锁定", "稍后",
];

/// Decodes octets that are not UTF-8, if they are Chinese. ASCII stays what it is: no ASCII octet becomes part of
/// another character, so secrets in it are still found.
pub(super) fn decoded(octets: &[u8]) -> Option<String> {
    if str::from_utf8(octets).is_ok() {
        return None;
    }
    let text = GB18030.decode_without_bom_handling_and_without_replacement(octets)?;
    let same_ascii =
        text.chars().filter(char::is_ascii).count() == octets.iter().filter(|octet| octet.is_ascii()).count();
    (same_ascii && SPOKEN_OF.iter().any(|word| text.contains(word))).then(|| text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes text as a server sends it.
    fn encoded(text: &str) -> Vec<u8> {
        GB18030.encode(text).0.into_owned()
    }

    #[test]
    fn what_is_chinese_is_read() {
        for text in ["用户名或密码错误", "ERR.LOGIN.PASSERR 您的帐号或密码错误, pop.163.com", "系统繁忙，请稍后再试"]
        {
            assert_eq!(decoded(&encoded(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_something_else_is_left_alone() {
        let others: [&[u8]; 7] = [
            b"wrong password",
            "密码错误".as_bytes(),
            b"mot de passe erron\xe9, r\xe9essayez",
            // "Неверный пароль" in windows-1251 and in KOI8-R, "비밀번호" in EUC-KR, and half a character.
            b"\xcd\xe5\xe2\xe5\xf0\xed\xfb\xe9 \xef\xe0\xf0\xee\xeb\xfc",
            b"\xee\xc5\xd7\xc5\xd2\xce\xd9\xca \xd0\xc1\xd2\xcf\xcc\xd8",
            b"\xba\xf1\xb9\xd0\xb9\xf8\xc8\xa3",
            b"\xc3\xdc\xc2\xeb\xb4",
        ];
        for other in others {
            assert_eq!(decoded(other), None, "{}", other.escape_ascii());
        }
    }

    #[test]
    fn no_ascii_becomes_part_of_a_character() {
        // In GBK the second octet of a character may be a letter.
        let swallows = [encoded("密码错误").as_slice(), b"\x81secret"].concat();
        assert_eq!(decoded(&swallows), None);
    }
}
