#include "../test.h"

#include <openssl/ec.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/keys.h"
#include "crypto/log_record.h"
#include "crypto/tls_key.h"

static struct mse_error_info err;
static const uint8_t log_instance[32] = { 9 };

static void fields_are_length_prefixed_so_that_no_two_lists_read_the_same(void **state)
{
	const struct mse_view one[] = { mse_view_of_text("ab"), mse_view_of_text("c") };
	const struct mse_view other[] = { mse_view_of_text("a"), mse_view_of_text("bc") };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *bytes = NULL;
	uint8_t first[32], second[32], direct[32];

	(void)state;
	assert_works(mse_fields_encode("tag", one, 2, &bytes, &err));
	assert_int_equal(mse_buffer_size(bytes), 4 + 3 + 4 + 2 + 4 + 1);
	assert_memory_equal(mse_buffer_data(bytes), "\0\0\0\3tag\0\0\0\2ab\0\0\0\1c", mse_buffer_size(bytes));
	assert_works(mse_fields_sha256("tag", one, 2, first, &err));
	assert_works(mse_fields_sha256("tag", other, 2, second, &err));
	assert_works(mse_sha256(mse_buffer_data(bytes), mse_buffer_size(bytes), direct, &err));
	assert_memory_equal(first, direct, 32);
	assert_memory_not_equal(first, second, 32);
}

static void signatures_bind_tag_fields_and_key(void **state)
{
	struct mse_sign_key key = { 0 }, other = { 0 };
	const struct mse_view fields[] = { mse_view_of_text("a"), mse_view_of_text("b") };
	uint8_t signature[MSE_SIGNATURE_SIZE];

	(void)state;
	assert_works(mse_sign_key_generate(&key, &err));
	assert_works(mse_sign_key_generate(&other, &err));
	assert_works(mse_sign_fields(&key, "tag", fields, 2, signature, &err));
	assert_works(mse_verify_fields(key.public_key, "tag", fields, 2, signature, &err));
	assert_fails(mse_verify_fields(other.public_key, "tag", fields, 2, signature, &err), MSE_ERR_CRYPTO, "signature");
	assert_fails(mse_verify_fields(key.public_key, "tag2", fields, 2, signature, &err), MSE_ERR_CRYPTO, "signature");
	assert_fails(mse_verify_fields(key.public_key, "tag", fields, 1, signature, &err), MSE_ERR_CRYPTO, "signature");
	for (int bit = 0; bit < MSE_SIGNATURE_SIZE * 8; bit++) {
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_fails(mse_verify_fields(key.public_key, "tag", fields, 2, signature, &err), MSE_ERR_CRYPTO, "signature");
		signature[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	mse_sign_key_clear(&key);
	mse_sign_key_clear(&other);
}

static void boxes_open_only_for_their_reader_and_from_their_sender(void **state)
{
	struct mse_box_key sender = { 0 }, reader = { 0 }, other = { 0 };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *box = mse_buffer_new(1000);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *opened = mse_buffer_new(1000);

	(void)state;
	assert_works(mse_box_key_generate(&sender, &err));
	assert_works(mse_box_key_generate(&reader, &err));
	assert_works(mse_box_key_generate(&other, &err));
	assert_works(mse_box_seal(&sender, reader.public_key, "hello", 5, box, &err));
	assert_works(mse_box_open(&reader, sender.public_key, mse_buffer_data(box), mse_buffer_size(box), opened, &err));
	assert_string_equal(mse_buffer_text(opened), "hello");
	assert_fails(mse_box_open(&reader, other.public_key, mse_buffer_data(box), mse_buffer_size(box), opened, &err), MSE_ERR_CRYPTO, "box");
	assert_fails(mse_box_open(&other, sender.public_key, mse_buffer_data(box), mse_buffer_size(box), opened, &err), MSE_ERR_CRYPTO, "box");
	assert_fails(mse_box_open(&reader, sender.public_key, mse_buffer_data(box), 39, opened, &err), MSE_ERR_INPUT, "too short");
	mse_box_key_clear(&sender);
	mse_box_key_clear(&reader);
	mse_box_key_clear(&other);
}

static void sealed_data_opens_only_under_its_key_and_label(void **state)
{
	mse_cleanup(mse_secret_freep) struct mse_secret *key = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *other = NULL;
	mse_cleanup(mse_secret_freep) struct mse_secret *opened = NULL;
	mse_cleanup(mse_buffer_freep) struct mse_buffer *box = mse_buffer_new(1000);

	(void)state;
	assert_works(mse_secret_random(32, &key, &err));
	assert_works(mse_secret_random(32, &other, &err));
	assert_works(mse_secretbox_seal(key, "label", "hello", 5, box, &err));
	assert_works(mse_secretbox_open(key, "label", mse_buffer_data(box), mse_buffer_size(box), &opened, &err));
	assert_memory_equal(mse_secret_view(opened), "hello", 5);
	mse_secret_free(mse_steal(opened));
	assert_fails(mse_secretbox_open(key, "other", mse_buffer_data(box), mse_buffer_size(box), &opened, &err), MSE_ERR_CRYPTO, "open");
	assert_fails(mse_secretbox_open(other, "label", mse_buffer_data(box), mse_buffer_size(box), &opened, &err), MSE_ERR_CRYPTO, "open");
	for (size_t size = 0; size < mse_buffer_size(box); size++)
		assert_true(mse_secretbox_open(key, "label", mse_buffer_data(box), size, &opened, &err) < 0);
}

static void digests_are_read_with_and_without_their_prefix(void **state)
{
	uint8_t digest[32], again[32];
	char text[MSE_DIGEST_TEXT_SIZE];

	(void)state;
	assert_works(mse_sha256("abc", 3, digest, &err));
	mse_digest_format(text, digest);
	assert_string_equal(text, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_works(mse_digest_parse(text, again, "it", &err));
	assert_memory_equal(digest, again, 32);
	assert_works(mse_digest_parse(text + 7, again, "it", &err));
	text[20] = 'x';
	assert_fails(mse_digest_parse(text, again, "the digest", &err), MSE_ERR_INPUT, "the digest");
}

static void log_records_open_for_their_owner_in_a_chain(void **state)
{
	struct mse_log_chain chain;
	struct mse_box_key enclave = { 0 }, owner = { 0 }, other = { 0 };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *first = mse_buffer_new(1000);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *second = mse_buffer_new(1000);
	struct mse_log_record one, two;

	(void)state;
	mse_log_chain_begin(&chain, log_instance);
	assert_works(mse_box_key_generate(&enclave, &err));
	assert_works(mse_box_key_generate(&owner, &err));
	assert_works(mse_box_key_generate(&other, &err));
	assert_works(mse_log_record_seal(&chain, &enclave, owner.public_key, 1234, MSE_LOG_STDERR, "one", 3, first, &err));
	assert_works(mse_log_record_seal(&chain, &enclave, owner.public_key, 1235, MSE_LOG_STDOUT, "two", 3, second, &err));
	assert_works(mse_log_record_open(mse_buffer_data(first), mse_buffer_size(first), log_instance, &owner, enclave.public_key, &one, &err));
	assert_works(mse_log_record_open(mse_buffer_data(second), mse_buffer_size(second), log_instance, &owner, enclave.public_key, &two, &err));
	assert_string_equal(mse_buffer_text(one.data), "one");
	assert_int_equal(one.stream, MSE_LOG_STDERR);
	assert_int_equal(two.number, 1);
	assert_memory_equal(two.previous, one.hash, sizeof one.hash);
	mse_log_record_clear(&one);
	mse_log_record_clear(&two);
	assert_fails(mse_log_record_open(mse_buffer_data(first), mse_buffer_size(first), log_instance, &owner, other.public_key, &one, &err),
		MSE_ERR_CRYPTO, "box");
	assert_fails(mse_log_record_open(mse_buffer_data(first), mse_buffer_size(first), owner.public_key, &owner, enclave.public_key, &one, &err),
		MSE_ERR_INPUT, "another instance");
	mse_box_key_clear(&enclave);
	mse_box_key_clear(&owner);
	mse_box_key_clear(&other);
}

static void every_changed_bit_and_cut_of_a_log_record_is_noticed(void **state)
{
	struct mse_log_chain chain;
	struct mse_box_key enclave = { 0 }, owner = { 0 };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *record = mse_buffer_new(1000);
	uint8_t copy[1000];
	size_t size;
	struct mse_log_record opened;

	(void)state;
	mse_log_chain_begin(&chain, log_instance);
	assert_works(mse_box_key_generate(&enclave, &err));
	assert_works(mse_box_key_generate(&owner, &err));
	assert_works(mse_log_record_seal(&chain, &enclave, owner.public_key, 1, MSE_LOG_STDOUT, "text", 4, record, &err));
	size = mse_buffer_size(record);
	memcpy(copy, mse_buffer_data(record), size);
	for (size_t bit = 0; bit < size * 8; bit++) {
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_true(mse_log_record_open(copy, size, log_instance, &owner, enclave.public_key, &opened, &err) < 0);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t cut = 0; cut < size; cut++)
		assert_true(mse_log_record_open(copy, cut, log_instance, &owner, enclave.public_key, &opened, &err) < 0);
	mse_box_key_clear(&enclave);
	mse_box_key_clear(&owner);
}

static void tls_keys_survive_their_encoding(void **state)
{
	mse_cleanup(mse_pkey_freep) EVP_PKEY *key = NULL;
	mse_cleanup(mse_pkey_freep) EVP_PKEY *again = NULL;
	mse_cleanup(mse_pkey_freep) EVP_PKEY *other_curve = EVP_EC_gen("P-384");
	mse_cleanup(mse_secret_freep) struct mse_secret *der = NULL;
	uint8_t point[MSE_P256_POINT_SIZE], point_again[MSE_P256_POINT_SIZE];

	(void)state;
	assert_works(mse_tls_key_generate(&key, &err));
	assert_works(mse_tls_key_to_der(key, &der, &err));
	assert_works(mse_tls_key_from_der(mse_secret_view(der), mse_secret_size(der), &again, &err));
	assert_works(mse_tls_key_point(key, point, &err));
	assert_works(mse_tls_key_point(again, point_again, &err));
	assert_memory_equal(point, point_again, sizeof point);
	assert_fails(mse_tls_key_point(other_curve, point, &err), MSE_ERR_UNSUPPORTED, "P-256");
}

static void the_head_of_a_log_answers_one_nonce_about_one_instance(void **state)
{
	struct mse_log_chain chain;
	struct mse_box_key enclave = { 0 }, owner = { 0 };
	uint8_t nonce[MSE_LOG_NONCE_SIZE] = { 1 }, other[MSE_LOG_NONCE_SIZE] = { 2 };
	mse_cleanup(mse_buffer_freep) struct mse_buffer *record = mse_buffer_new(1000);
	mse_cleanup(mse_buffer_freep) struct mse_buffer *box = mse_buffer_new(1000);
	struct mse_log_head head;

	(void)state;
	mse_log_chain_begin(&chain, log_instance);
	assert_works(mse_box_key_generate(&enclave, &err));
	assert_works(mse_box_key_generate(&owner, &err));
	assert_works(mse_log_record_seal(&chain, &enclave, owner.public_key, 1, MSE_LOG_STDOUT, "text", 4, record, &err));
	assert_works(mse_log_head_seal(&chain, &enclave, owner.public_key, nonce, box, &err));
	assert_works(mse_log_head_open(mse_buffer_data(box), mse_buffer_size(box), log_instance, nonce, &owner, enclave.public_key, &head, &err));
	assert_int_equal(head.count, 1);
	assert_memory_equal(head.run, chain.run, sizeof head.run);
	assert_fails(mse_log_head_open(mse_buffer_data(box), mse_buffer_size(box), log_instance, other, &owner, enclave.public_key, &head, &err),
		MSE_ERR_INPUT, "another question");
	assert_fails(mse_log_head_open(mse_buffer_data(box), mse_buffer_size(box), owner.public_key, nonce, &owner, enclave.public_key, &head, &err),
		MSE_ERR_INPUT, "another instance");
	assert_fails(mse_log_head_open(mse_buffer_data(box), mse_buffer_size(box), log_instance, nonce, &owner, owner.public_key, &head, &err),
		MSE_ERR_CRYPTO, "box");
	/* A record is no head. */
	assert_true(mse_log_head_open(mse_buffer_data(record), mse_buffer_size(record), log_instance, nonce, &owner, enclave.public_key, &head, &err) < 0);
	mse_box_key_clear(&enclave);
	mse_box_key_clear(&owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields_are_length_prefixed_so_that_no_two_lists_read_the_same),
		cmocka_unit_test(signatures_bind_tag_fields_and_key),
		cmocka_unit_test(boxes_open_only_for_their_reader_and_from_their_sender),
		cmocka_unit_test(sealed_data_opens_only_under_its_key_and_label),
		cmocka_unit_test(digests_are_read_with_and_without_their_prefix),
		cmocka_unit_test(log_records_open_for_their_owner_in_a_chain),
		cmocka_unit_test(every_changed_bit_and_cut_of_a_log_record_is_noticed),
		cmocka_unit_test(tls_keys_survive_their_encoding),
		cmocka_unit_test(the_head_of_a_log_answers_one_nonce_about_one_instance),
	};

	if (mse_secret_init(&err) < 0)
		return 1;
	return cmocka_run_group_tests_name("crypto", tests, NULL, NULL);
}
