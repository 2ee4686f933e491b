/* The two clocks. The loop reads the first once a turn; others take the time as an argument.
 */
#ifndef GATEWAY_BASE_CLOCK_H
#define GATEWAY_BASE_CLOCK_H

#include <stdint.h>

/* Since boot, suspend included; never goes back, the same in all processes of a machine. For waiting. */
uint64_t clock_now_ns(void);
/* Since 1970, UTC; may jump. For people. */
uint64_t clock_wall_ns(void);

#endif
