/* SHA-256. */
#include <check.h>
#include <string.h>

#include "gateway/base/digest.h"

/* FIPS 180-4, and the examples that NIST gives with it. */
static const struct {
    const char *text, *digest;
} known[] = {
    { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
    { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
    { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
};

START_TEST(test_known_texts_have_their_known_digests_and_these_read_back)
{
    struct digest d = digest_of(str_from(known[_i].text)), again;
    char text[DIGEST_TEXT_LEN];

    digest_write(text, &d);
    ck_assert_int_eq(memcmp(text, known[_i].digest, sizeof text), 0);
    ck_assert(digest_read(str_of(text, sizeof text), &again));
    ck_assert(digest_equal(&d, &again));
    again.at[31] ^= 1;
    ck_assert(!digest_equal(&d, &again));
}
END_TEST

START_TEST(test_only_64_hexadecimal_digits_are_a_digest)
{
    char text[DIGEST_TEXT_LEN + 1];
    struct digest d;

    memset(text, 'A', sizeof text);
    ck_assert(digest_read(str_of(text, 64), &d));
    ck_assert_uint_eq(d.at[31], 0xaa);
    ck_assert(!digest_read(str_of(text, 63), &d));
    ck_assert(!digest_read(str_of(text, 65), &d));
    for (size_t i = 0; i < 64; i++) {
        text[i] = 'g';
        ck_assert(!digest_read(str_of(text, 64), &d));
        text[i] = 'A';
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("digest");
    TCase *t = tcase_create("digest");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_known_texts_have_their_known_digests_and_these_read_back, 0,
                        ARRAY_LEN(known));
    tcase_add_test(t, test_only_64_hexadecimal_digits_are_a_digest);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
