#include "attest/pck.h"

#include <string.h>

#define TAG_BOOLEAN 0x01
#define TAG_INTEGER 0x02
#define TAG_OCTET_STRING 0x04
#define TAG_OID 0x06
#define TAG_ENUMERATED 0x0a
#define TAG_SEQUENCE 0x30

/* 1.2.840.113741.1.13.1, to which each field's own arcs are appended. */
static const uint8_t oid_prefix[] = { 0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01 };

enum field { FIELD_PPID = 1, FIELD_TCB, FIELD_PCEID, FIELD_FMSPC, FIELD_SGX_TYPE, FIELD_PIID, FIELD_CONFIGURATION, FIELD_END };
enum tcb_field { TCB_FIRST_COMPONENT = 1, TCB_PCESVN = MSE_SGX_TCB_COMPONENTS + 1, TCB_CPUSVN, TCB_END };
enum configuration_field { CONFIGURATION_DYNAMIC_PLATFORM = 1, CONFIGURATION_CACHED_KEYS, CONFIGURATION_SMT_ENABLED, CONFIGURATION_END };

static int malformed(struct mse_error_info *err, const char *what)
{
	return mse_fail(err, MSE_ERR_INPUT, "the PCK certificate's SGX extension is malformed: %s", what);
}

/* One DER element of this tag from the front: definite lengths in their shortest form only (X.690 section 10.1). */
static bool take(struct mse_view *view, uint8_t tag, struct mse_view *ret_content)
{
	struct mse_view rest = *view;
	uint8_t found, first, byte;
	size_t size = 0;

	if (!mse_view_u8(&rest, &found) || found != tag || !mse_view_u8(&rest, &first))
		return false;
	if (first < 0x80) {
		size = first;
	} else {
		if (first != 0x81 && first != 0x82)
			return false;
		for (int i = 0; i < first - 0x80; i++) {
			if (!mse_view_u8(&rest, &byte))
				return false;
			size = size << 8 | byte;
		}
		if (size < (first == 0x81 ? 0x80u : 0x100u))
			return false;
	}
	if (!mse_view_take(&rest, size, ret_content))
		return false;
	*view = rest;
	return true;
}

/* SEQUENCE { OID prefix.depth-many arcs, value }: gives the last arc, which must not have been seen, and the value's bytes. */
static int take_field(struct mse_view *fields, const uint8_t *arcs, size_t arc_count, unsigned end, uint32_t *seen, unsigned *ret_field,
	struct mse_view *ret_value, struct mse_error_info *err)
{
	struct mse_view field, oid;
	unsigned last;

	if (!take(fields, TAG_SEQUENCE, &field) || !take(&field, TAG_OID, &oid))
		return malformed(err, "a field is not a sequence of an object identifier and a value");
	if (oid.size != sizeof oid_prefix + arc_count + 1 || memcmp(oid.data, oid_prefix, sizeof oid_prefix) != 0 ||
	    memcmp(oid.data + sizeof oid_prefix, arcs, arc_count) != 0)
		return malformed(err, "a field has a foreign object identifier");
	last = oid.data[oid.size - 1];
	if (last == 0 || last >= end)
		return malformed(err, "a field has an unknown object identifier");
	if ((*seen & 1u << last) != 0)
		return malformed(err, "a field is there twice");
	*seen |= 1u << last;
	*ret_field = last;
	*ret_value = field;
	return 0;
}

static int octets(struct mse_view value, uint8_t *to, size_t size, struct mse_error_info *err)
{
	struct mse_view content;

	if (!take(&value, TAG_OCTET_STRING, &content) || content.size != size || value.size != 0)
		return malformed(err, "an octet string has the wrong type or size");
	memcpy(to, content.data, size);
	return 0;
}

static int number(struct mse_view value, uint8_t tag, unsigned max, unsigned *ret_number, struct mse_error_info *err)
{
	struct mse_view content;
	unsigned result = 0;

	if (!take(&value, tag, &content) || value.size != 0 || content.size < 1 || content.size > 3 || (content.data[0] & 0x80) != 0 ||
	    (content.size > 1 && content.data[0] == 0 && (content.data[1] & 0x80) == 0))
		return malformed(err, "a number has the wrong type, is negative or not in its shortest form");
	for (size_t i = 0; i < content.size; i++)
		result = result << 8 | content.data[i];
	if (result > max)
		return malformed(err, "a number is too large");
	*ret_number = result;
	return 0;
}

static int boolean(struct mse_view value, bool *ret_value, struct mse_error_info *err)
{
	struct mse_view content;

	if (!take(&value, TAG_BOOLEAN, &content) || value.size != 0 || content.size != 1 || (content.data[0] != 0 && content.data[0] != 0xff))
		return malformed(err, "a configuration flag is not a boolean");
	*ret_value = content.data[0] != 0;
	return 0;
}

static int parse_tcb(struct mse_view value, struct mse_pck_extension *extension, struct mse_error_info *err)
{
	static const uint8_t arcs[] = { FIELD_TCB };
	struct mse_view fields, content;
	uint32_t seen = 0;
	unsigned field, svn = 0;
	int result = 0;

	if (!take(&value, TAG_SEQUENCE, &fields) || value.size != 0)
		return malformed(err, "the TCB is not a sequence");
	while (fields.size > 0) {
		result = take_field(&fields, arcs, sizeof arcs, TCB_END, &seen, &field, &content, err);
		if (result < 0)
			return result;
		if (field == TCB_CPUSVN)
			result = octets(content, extension->cpu_svn, sizeof extension->cpu_svn, err);
		else
			result = number(content, TAG_INTEGER, field == TCB_PCESVN ? 0xffff : 0xff, &svn, err);
		if (result < 0)
			return result;
		if (field == TCB_PCESVN)
			extension->pce_svn = (uint16_t)svn;
		else if (field < TCB_PCESVN)
			extension->components[field - TCB_FIRST_COMPONENT] = (uint8_t)svn;
	}
	return seen == (1u << TCB_END) - 2 ? 0 : malformed(err, "the TCB lacks a component");
}

static int parse_configuration(struct mse_view value, struct mse_pck_extension *extension, struct mse_error_info *err)
{
	static const uint8_t arcs[] = { FIELD_CONFIGURATION };
	bool *const flags[] = {
		[CONFIGURATION_DYNAMIC_PLATFORM] = &extension->dynamic_platform,
		[CONFIGURATION_CACHED_KEYS] = &extension->cached_keys,
		[CONFIGURATION_SMT_ENABLED] = &extension->smt_enabled,
	};
	struct mse_view fields, content;
	uint32_t seen = 0;
	unsigned field;
	int result;

	if (!take(&value, TAG_SEQUENCE, &fields) || value.size != 0)
		return malformed(err, "the configuration is not a sequence");
	while (fields.size > 0) {
		result = take_field(&fields, arcs, sizeof arcs, CONFIGURATION_END, &seen, &field, &content, err);
		if (result == 0)
			result = boolean(content, flags[field], err);
		if (result < 0)
			return result;
	}
	extension->has_configuration = true;
	return 0;
}

static int parse_field(unsigned field, struct mse_view content, struct mse_pck_extension *extension, struct mse_error_info *err)
{
	switch (field) {
	case FIELD_PPID:
		return octets(content, extension->ppid, sizeof extension->ppid, err);
	case FIELD_TCB:
		return parse_tcb(content, extension, err);
	case FIELD_PCEID:
		return octets(content, extension->pceid, sizeof extension->pceid, err);
	case FIELD_FMSPC:
		return octets(content, extension->fmspc, sizeof extension->fmspc, err);
	case FIELD_SGX_TYPE:
		return number(content, TAG_ENUMERATED, 2, &extension->sgx_type, err);
	case FIELD_PIID:
		extension->has_piid = true;
		return octets(content, extension->piid, sizeof extension->piid, err);
	default:
		return parse_configuration(content, extension, err);
	}
}

int mse_pck_extension_parse(struct mse_view value, struct mse_pck_extension *ret_extension, struct mse_error_info *err)
{
	const uint32_t mandatory = 1u << FIELD_PPID | 1u << FIELD_TCB | 1u << FIELD_PCEID | 1u << FIELD_FMSPC | 1u << FIELD_SGX_TYPE;
	struct mse_pck_extension extension = { 0 };
	struct mse_view fields, content;
	uint32_t seen = 0;
	unsigned field;
	int result;

	if (!take(&value, TAG_SEQUENCE, &fields) || value.size != 0)
		return malformed(err, "it is not one sequence");
	while (fields.size > 0) {
		result = take_field(&fields, oid_prefix, 0, FIELD_END, &seen, &field, &content, err);
		if (result == 0)
			result = parse_field(field, content, &extension, err);
		if (result < 0)
			return result;
	}
	if ((seen & mandatory) != mandatory)
		return malformed(err, "it lacks PPID, TCB, PCE id, FMSPC or SGX type");
	*ret_extension = extension;
	return 0;
}
