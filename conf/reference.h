/* The tables turned round: into text for people.
 */
#ifndef CONF_REFERENCE_H
#define CONF_REFERENCE_H

#include <stdio.h>

#include "conf/schema.h"
#include "conf/settings.h"

/* Every key with type, default and meaning, as Markdown: conf/REFERENCE.md. */
void conf_reference(const struct conf_catalog *catalog, FILE *to);
/* The effective values of everything, defaults included, as YAML that reads back as the same; what is CONF_SECRET or came
 * from ${...} is printed as "***". */
void conf_print(struct conf_file *f, FILE *to);

#endif
