"""zoomagent: make vision-language models look closer before they answer, and know how sure they are."""
