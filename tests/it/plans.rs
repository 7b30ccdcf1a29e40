//! `fetch --dry-run` tells and does nothing.

use crate::delivered::assert_same_mail;
use crate::mail::{small_ones, small_ones_stored};
use crate::program::{Account, TestEnv};
use crate::scripted::maildrop::Maildrop;

#[test]
fn a_dry_run_writes_nothing_and_says_what_it_would_do() {
    for delete in [false, true] {
        let maildrop = Maildrop::new(small_ones(3));
        let account = Account::at(maildrop.server.address);
        let env = TestEnv::new(&[if delete { account.deleting() } else { account }]);
        let before = env.everything();
        env.run(&["fetch", "--dry-run"]).expect(0).says("would").says("3");
        assert_eq!(env.everything().keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        assert!(env.everything() == before, "a file has changed");
        assert_eq!((maildrop.count("RETR"), maildrop.count("DELE")), (0, 0));

        env.fetch().expect(0);
        maildrop.change(|contents| contents.messages = small_ones(5));
        let before = env.everything();
        env.run(&["fetch", "--dry-run"]).expect(0).says("would");
        assert!(env.everything() == before, "a file has changed");
        assert_eq!(maildrop.left().len(), 5);
        assert_same_mail(&env.mail(), &small_ones_stored(3));
        env.fetch().expect(0);
        assert_same_mail(&env.mail(), &small_ones_stored(5));
    }
}
