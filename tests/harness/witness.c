/* A PKCS#11 library that passes every call on to another one, and notes what happens.
 *
 * WITNESS_OF is the other library, WITNESS_NOTES a file for its notes. While the file WITNESS_HANG is there, C_Encrypt does not return.
 * Its destructor does what those of real libraries do under a call, or before C_Finalize: it crashes. */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef unsigned long rv;
typedef rv (*any)(unsigned long, unsigned long, unsigned long, unsigned long, unsigned long);

/* CK_FUNCTION_LIST of PKCS#11 2.40: a version of two bytes, then the functions. */
enum { C_INITIALIZE = 0, C_FINALIZE = 1, C_GET_FUNCTION_LIST = 3, C_OPEN_SESSION = 12, C_CLOSE_SESSION = 13, C_ENCRYPT = 30, FUNCTIONS = 68 };
struct list {
  unsigned char version[2];
  any functions[FUNCTIONS];
};

static struct list own, other;
static atomic_int started, inside;

static void note(const char *what) {
  char line[80];
  int length = snprintf(line, sizeof line, "%s started=%d inside=%d\n", what, atomic_load(&started), atomic_load(&inside));
  int file = open(getenv("WITNESS_NOTES"), O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (file < 0 || write(file, line, length) != length) abort();
  close(file);
}

static rv pass(int function, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  atomic_fetch_add(&inside, 1);
  rv result = other.functions[function](a, b, c, d, e);
  atomic_fetch_sub(&inside, 1);
  return result;
}

static rv initialize(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  rv result = pass(C_INITIALIZE, a, b, c, d, e);
  atomic_fetch_add(&started, 1);
  note("initialize");
  return result;
}

static rv finalize(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  note("finalize");
  rv result = pass(C_FINALIZE, a, b, c, d, e);
  atomic_fetch_sub(&started, 1);
  return result;
}

static rv open_session(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) { return pass(C_OPEN_SESSION, a, b, c, d, e); }

static rv close_session(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  usleep(2000); /* as a distant token does */
  return pass(C_CLOSE_SESSION, a, b, c, d, e);
}

static rv encrypt(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e) {
  const char *hang = getenv("WITNESS_HANG");
  atomic_fetch_add(&inside, 1);
  if (hang && access(hang, F_OK) == 0) {
    note("hang");
    for (;;) pause();
  }
  atomic_fetch_sub(&inside, 1);
  return pass(C_ENCRYPT, a, b, c, d, e);
}

rv C_GetFunctionList(struct list **given) {
  void *library = dlopen(getenv("WITNESS_OF"), RTLD_NOW);
  rv (*of)(struct list **) = library ? (rv(*)(struct list **))dlsym(library, "C_GetFunctionList") : NULL;
  struct list *found;
  if (!of || of(&found) != 0) return 5; /* CKR_GENERAL_ERROR */
  memcpy(&other, found, sizeof other);
  memcpy(&own, found, sizeof own);
  own.functions[C_INITIALIZE] = initialize;
  own.functions[C_FINALIZE] = finalize;
  own.functions[C_GET_FUNCTION_LIST] = (any)C_GetFunctionList;
  own.functions[C_OPEN_SESSION] = open_session;
  own.functions[C_CLOSE_SESSION] = close_session;
  own.functions[C_ENCRYPT] = encrypt;
  *given = &own;
  return 0;
}

__attribute__((destructor)) static void destroy(void) {
  if (!getenv("WITNESS_NOTES")) return;
  note("destroy");
  if (atomic_load(&started) || atomic_load(&inside)) *(volatile int *)NULL = 0;
}
