/* What `make demo` runs: arguments, environment, a file read and one written. */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
  printf("arguments:");
  for (int i = 0; i < argc; i++)
    printf(" [%s]", argv[i]);
  const char *who = getenv("WHO");
  printf("\nenvironment: WHO=%s\n", who ? who : "(not set)");

  FILE *in = fopen("/data/greeting.txt", "r");
  if (!in) {
    perror("/data/greeting.txt");
    return 1;
  }
  char line[128];
  if (!fgets(line, sizeof line, in))
    line[0] = 0;
  fclose(in);
  printf("read from /data/greeting.txt: %s", line);

  FILE *out = fopen("/data/answer.txt", "w");
  if (!out) {
    perror("/data/answer.txt");
    return 1;
  }
  fprintf(out, "Hello, %s!\n", who ? who : "nobody");
  fclose(out);
  printf("wrote /data/answer.txt\n");

  if (fopen("/data/../../etc/hostname", "r"))
    printf("read a file outside: this must not happen\n");
  else
    perror("a file outside the folder");
  return 42;
}
